"""Which messages a program takes, as its text says: by an `accepts`, a literal, or by the handlers of its `Server`.

The text is read and never run, as it is for pledges. What cannot be told from it is let through: the program itself
still refuses what it does not take.

    @agent(accepts={"order": {"type": "object", "required": ["n"]}})        a JSON Schema of the body, by type
    class Desk(Server): async def on_order(self, n: int, note: str = "")    the same, derived
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, cast

from prytany.abi import limits
from prytany.abi.schema_form import forms_fault

Schema = dict[str, Any]
Forms = Mapping[str, Schema]
"""A schema of the body by the message's type."""
_SIMPLE: dict[str, Schema] = {
    "int": {"type": "integer"}, "str": {"type": "string"}, "bool": {"type": "boolean"}, "list": {"type": "array"},
    "float": {},  # infinities and NaN, too, which no JSON Schema has
}  # fmt: skip
_ARRAYS = frozenset({"list", "set", "frozenset", "Sequence", "List"})


def declared_forms(text: bytes, name: str) -> Forms | None:
    """What the program `name` of a text says that it takes; None where it says nothing, or nothing that can be read."""
    if len(text) > limits.ACCEPTS_TEXT_BYTES_MAX or (b"accepts" not in text and b"Server" not in text):
        return None
    try:
        body = ast.parse(text).body
        for node in reversed(body):
            if isinstance(node, ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
                said = _said(node)
                forms = said if said is not None else _derived(node) if isinstance(node, ast.ClassDef) else None
                return forms if forms is not None and not forms_fault(forms)[1] else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return None


def _said(node: ast.AsyncFunctionDef | ast.ClassDef) -> Forms | None:
    """What stands as `accepts` in its decorator, or in its class."""
    for value in _places(node):
        found = ast.literal_eval(value)
        return cast("Forms", found) if isinstance(found, dict) and found else None
    return None


def _places(node: ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[ast.expr]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and _word(decorator.func) == "agent":
            yield from (keyword.value for keyword in decorator.keywords if keyword.arg == "accepts")
    for statement in node.body if isinstance(node, ast.ClassDef) else ():
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if getattr(target, "id", "") == "accepts" and value is not None:
            yield value


def _word(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))


def _derived(node: ast.ClassDef) -> Forms | None:
    """By its handlers, where nothing else can have added to them."""
    if [_word(base) for base in node.bases] != ["Server"] or node.keywords:
        return None
    if any(_word(d.func if isinstance(d, ast.Call) else d) != "agent" for d in node.decorator_list):
        return None
    forms: dict[str, Schema] = {}
    for statement in node.body:
        if isinstance(statement, ast.AsyncFunctionDef) and statement.name.startswith("on_"):
            forms[statement.name[3:]] = _handled(statement)
        elif not isinstance(
            statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Expr | ast.Pass | ast.Assign | ast.AnnAssign
        ) or _makes_handler(statement):
            return None
    return forms or None


def _makes_handler(statement: ast.stmt) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(not isinstance(t, ast.Name | None) or getattr(t, "id", "").startswith("on_") for t in targets)


def _handled(function: ast.AsyncFunctionDef) -> Schema:
    """The body that a handler takes: its parameters by name."""
    arguments = function.args
    if function.decorator_list or arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        return {}
    positional = arguments.args[1:]
    optional = len(arguments.defaults)
    required = [a.arg for a in positional[: max(0, len(positional) - optional)]]
    required += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    fields = {a.arg: _schema(a.annotation) for a in (*positional, *arguments.kwonlyargs)}
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def _schema(node: ast.expr | None) -> Schema:
    """Of an annotation, as far as it can be told without running anything; {} is anything."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _schema(ast.parse(node.value, mode="eval").body)
        return {"type": "null"} if node.value is None else {}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _any_of(_schema(node.left), _schema(node.right))
    if isinstance(node, ast.Subscript):
        return _of(_word(node.value), node.slice)
    return _SIMPLE.get(_word(node), {}) if isinstance(node, ast.Name) else {}


def _of(outer: str, inner: ast.expr) -> Schema:
    if outer in _ARRAYS:
        return {"type": "array", "items": _schema(inner)}
    if outer == "Optional":
        return _any_of(_schema(inner), {"type": "null"})
    if outer in ("dict", "Mapping") and isinstance(inner, ast.Tuple) and _word(inner.elts[0]) == "str":
        return {"type": "object", "additionalProperties": _schema(inner.elts[-1])}
    if outer == "Literal":
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if all(isinstance(part, ast.Constant) for part in parts):
            return {"enum": [part.value for part in parts if isinstance(part, ast.Constant)]}
    return {}


def _any_of(one: Schema, other: Schema) -> Schema:
    return {"anyOf": [one, other]} if one and other else {}
