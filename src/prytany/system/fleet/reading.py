"""From nodes to values, by the types of the form: the type at a key says how what is written there is read.

Where text is asked for, text is what stands in the file: `no`, `1.10` and `12:30` need no quotes. Where a number or a
truth is asked for, it has to be written as one. All faults are gathered; a value is given only where there are none.

`${NAME}` is the environment's, `${NAME:-text}` with what to take where it is not set, `$$` a dollar; in every text but
those whose type says that they are prompts, where a dollar is a dollar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Variables
from typing import Any, cast

import msgspec
from msgspec import inspect as types

from prytany.system.fleet.document import Document, Mapping, Node, Scalar, Sequence, entries, place_of
from prytany.system.fleet.faults import Fault, Path, Place
from prytany.system.fleet.form import PATTERNS, PROMPT, SHOWN
from prytany.system.wording import meant, quoted

_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "value"))
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?|[-+]?\.[0-9]+", re.ASCII)
_NUMBER_CHARS_MAX = 300
_JSON_MIN, _JSON_MAX = -(1 << 63), (1 << 64) - 1
"""Of a whole number in what is handed on as JSON."""
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|)")


class Reader:
    """Reads one file. `places` says where each value stands, also of those that are at fault."""

    def __init__(self, variables: Variables[str, str]) -> None:
        self._variables = variables
        self.faults: list[Fault] = []
        self.places: dict[Path, Place] = {}

    def read(self, document: Document, form: Any) -> Any:
        """The plain value of a document, of a form's shape; None where there were faults."""
        self.faults += document.faults
        found = self._value(document.root, types.type_info(form), (), prompt=False)
        return None if self.faults else found

    def _fault(self, node: Node, path: Path, what: str) -> None:
        self.faults.append(Fault(place_of(node), path, what))

    def _value(self, node: Node, form: types.Type, path: Path, *, prompt: bool) -> Any:
        self.places[path] = place_of(node)
        shown = False
        while isinstance(form, types.Metadata):
            extra = cast("dict[str, Any]", form.extra or {})  # pyright: ignore[reportUnknownMemberType]
            prompt, shown = prompt or PROMPT in extra, shown or SHOWN in extra
            form = form.type
        if isinstance(form, types.UnionType):
            return self._one_of(node, form, path, prompt=prompt)
        if isinstance(form, types.StructType):
            return self._struct(node, form, path)
        if isinstance(form, types.DictType):
            return self._dict(node, form, path, prompt=prompt)
        if isinstance(form, types.ListType | types.VarTupleType):
            return self._list(node, form, path, prompt=prompt)
        if isinstance(form, types.AnyType):
            return self._any(node, path, prompt=prompt)
        value = self._scalar(node, form, path, prompt=prompt)
        return None if shown and self._hides(value, node, path) else value

    def _one_of(self, node: Node, form: types.UnionType, path: Path, *, prompt: bool) -> Any:
        """The member of a union that the node's shape is for: nothing, a list, a mapping, or what a scalar is."""
        members = [_bare(member) for member in form.types]
        if _is_null(node) and any(isinstance(member, types.NoneType) for member in members):
            return None
        wanted: tuple[type[types.Type], ...] = (
            (types.StructType, types.DictType)
            if isinstance(node, Mapping)
            else (types.ListType, types.VarTupleType)
            if isinstance(node, Sequence)
            else (types.StrType, types.IntType, types.FloatType, types.BoolType, types.LiteralType)
        )
        fit = [m for m, bare in zip(form.types, members, strict=True) if isinstance(bare, wanted)]
        if not fit:
            wanted_names = " or ".join(_name(m) for m in members if not isinstance(m, types.NoneType))
            self._fault(node, path, f"{wanted_names} is wanted, and this is {_shape(node)}")
            return None
        return self._value(node, fit[0], path, prompt=prompt)

    def _struct(self, node: Node, form: types.StructType, path: Path) -> Any:
        if not isinstance(node, Mapping):
            self._fault(node, path, f"keys and values are wanted here, and this is {_shape(node)}")
            return None
        fields = {field.encode_name: field for field in form.fields}
        found: dict[str, Any] = {}
        for key, name, value in entries(node):
            if name.startswith("x-") and not path:
                continue  # for what an author anchors, as compose files have it
            field = fields.get(name)
            if field is None:
                self._fault(key, (*path, name), f"there is no such key{meant(name, fields)}")
                continue
            found[name] = self._value(value, field.type, (*path, name), prompt=False)
        for name, field in fields.items():
            if field.required and name not in found:
                self._fault(node, path, f"{name!r} is missing")
        return found

    def _dict(self, node: Node, form: types.DictType, path: Path, *, prompt: bool) -> Any:
        if not isinstance(node, Mapping):
            self._fault(node, path, f"names and what each is are wanted here, and this is {_shape(node)}")
            return None
        found: dict[str, Any] = {}
        for key, name, value in entries(node):
            self._scalar(key, _bare(form.key_type), (*path, name), prompt=True)
            if not name or not name.isprintable():
                self._fault(key, (*path, name), "a name has to be of characters that can be seen")
            found[name] = self._value(value, form.value_type, (*path, name), prompt=prompt)
        return found

    def _list(self, node: Node, form: types.ListType | types.VarTupleType, path: Path, *, prompt: bool) -> Any:
        if not isinstance(node, Sequence):
            self._fault(node, path, f"a list is wanted, and this is {_shape(node)}")
            return None
        if len(node.value) < (form.min_length or 0):
            self._fault(node, path, "it is empty")
        elif form.max_length is not None and len(node.value) > form.max_length:
            self._fault(node, path, f"it has {len(node.value)} elements; {form.max_length} are the most")
        item = form.item_type
        return [self._value(value, item, (*path, at), prompt=prompt) for at, value in enumerate(node.value)]

    def _any(self, node: Node, path: Path, *, prompt: bool) -> Any:
        """What YAML itself takes it for: JSON Schemas and arguments are written here."""
        if isinstance(node, Mapping):
            return {name: self._any(value, (*path, name), prompt=prompt) for _, name, value in entries(node)}
        if isinstance(node, Sequence):
            return [self._any(value, (*path, at), prompt=prompt) for at, value in enumerate(node.value)]
        if node.tag not in _TAGS:
            self._fault(node, path, f"the tag {quoted(node.tag)} is not taken")
            return None
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            text = str(node.value) if prompt else self._substituted(node, path)
            return None if not prompt and self._hides(text, node, path) else text
        if kind == "null":
            return None
        if kind == "bool":
            return self._scalar(node, types.BoolType(), path, prompt=False)
        if kind not in ("int", "float") or ":" in str(node.value):
            return str(node.value)  # a time of the day, which YAML takes for a number of base 60
        value = _number(str(node.value))
        if value is None or not _JSON_MIN <= value <= _JSON_MAX:
            what = "a number is written in decimal, without leading zeros, and has at most 64 bits; text needs quotes"
            self._fault(node, path, f"{what}: {quoted(str(node.value))}")
            return None
        return value

    def _scalar(self, node: Node, form: types.Type, path: Path, *, prompt: bool) -> Any:
        if not isinstance(node, Scalar):
            self._fault(node, path, f"{_name(form)} is wanted, and this is {_shape(node)}")
            return None
        if node.tag not in _TAGS:
            self._fault(node, path, f"the tag {quoted(node.tag)} is not taken")
            return None
        if _is_null(node):
            self._fault(node, path, f"{_name(form)} is wanted, and nothing stands here")
            return None
        faults = len(self.faults)
        written = str(node.value) if prompt else self._substituted(node, path)
        if len(self.faults) > faults:
            return None
        value = _converted(written, form)
        if not prompt and self._hides(value, node, path):
            return None
        if value is None:
            self._fault(node, path, f"{_name(form)} is wanted, and this is {quoted(written)}{_near(written, form)}")
            return None
        if said := _out_of_bounds(value, form):
            self._fault(node, path, said)
        return value

    def _hides(self, value: object, node: Node, path: Path) -> bool:
        hidden = _hidden(value) if isinstance(value, str) else ""
        if hidden:
            self._fault(node, path, f"{hidden!a} in it cannot be seen, and is not taken here")
        return bool(hidden)

    def _substituted(self, node: Node, path: Path) -> str:
        def replace(match: re.Match[str]) -> str:
            if match[0] == "$$":
                return "$"
            if match[1] is None:
                self._fault(node, path, "a lone `$`: write `${NAME}` for a variable, `$$` for a dollar")
                return ""
            otherwise: str | None = match[2]
            value = self._variables.get(match[1], otherwise)
            if value is None:
                self._fault(node, path, f"{match[1]} is not set in the environment; `${{{match[1]}:-…}}` does without")
                return ""
            return value

        return _VARIABLE.sub(replace, str(node.value))


def _bare(form: types.Type) -> types.Type:
    while isinstance(form, types.Metadata):
        form = form.type
    return form


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.tag == f"{_TAG}null" and node.style not in ("'", '"')


def _number(written: str) -> int | float | None:
    """A finite number in decimal: `010` is 8 to some and 10 to others, and so it is none."""
    if _NUMBER.fullmatch(written) is None or len(written) > _NUMBER_CHARS_MAX:
        return None
    plain = written.replace("_", "")
    number = float(plain) if set("eE.") & set(plain) else int(plain)
    return number if abs(number) < float("inf") else None


def _hidden(text: str) -> str:
    """A character of text that a reader of the file, or of what is shown of it, does not see; "" for none."""
    return next((c for c in text if not (c.isprintable() or c in "\n\t")), "")


def _converted(written: str, form: types.Type) -> Any:
    """What is written, as the form's type; None where it is not one."""
    if isinstance(form, types.StrType):
        return written
    if isinstance(form, types.LiteralType):
        return next((value for value in form.values if str(value) == written), None)
    if isinstance(form, types.BoolType):
        return {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(written.lower())
    number = _number(written)
    if isinstance(form, types.FloatType):
        return None if number is None else float(number)
    return number if isinstance(number, int) else None


def _out_of_bounds(value: Any, form: types.Type) -> str:
    if isinstance(form, types.StrType):
        if form.pattern is not None and re.fullmatch(form.pattern, value) is None:
            return f"{quoted(value)} has to be {PATTERNS[form.pattern]}"
        if form.min_length is not None and len(value) < form.min_length:
            return "it is empty"
        if form.max_length is not None and len(value) > form.max_length:
            return f"it has {len(value)} characters; {form.max_length} are the most"
    if isinstance(form, types.IntType | types.FloatType):
        if form.ge is not None and value < form.ge:
            return f"{value} is too little: {form.ge} is the least"
        if form.gt is not None and value <= form.gt:
            return f"{value} is too little: it has to be more than {form.gt}"
        if form.le is not None and value > form.le:
            return f"{value} is too much: {form.le} is the most"
    return ""


def _name(form: types.Type) -> str:
    """What a form wants, in words."""
    form = _bare(form)
    if isinstance(form, types.LiteralType):
        return " or ".join(f"`{value}`" for value in form.values)
    names: dict[type, str] = {
        types.StrType: "text", types.IntType: "a whole number", types.FloatType: "a number",
        types.BoolType: "`true` or `false`", types.NoneType: "nothing", types.ListType: "a list",
        types.VarTupleType: "a list", types.DictType: "names and what each is", types.StructType: "keys and values",
    }  # fmt: skip
    return names.get(type(form), "a value")


def _near(written: str, form: types.Type) -> str:
    return meant(written, map(str, form.values)) if isinstance(form, types.LiteralType) and len(form.values) > 1 else ""


def _shape(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return "empty" if _is_null(node) else quoted(str(node.value))


def as_form(value: Any, form: Any) -> Any:
    """A plain value, read without faults, as its form."""
    return msgspec.convert(value, form)
