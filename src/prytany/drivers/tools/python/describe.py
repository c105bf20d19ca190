"""From a function to its manifest: the schema from its types, what it is for from its docstring.

Runs in the tool process. What is wrong with a declaration is a ValueError that names the function.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from string import Formatter
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from prytany.abi import limits
from prytany.ports.tool import Effect, ToolManifest

MARK = "__prytany_tool__"
DESCRIPTION_BYTES_MAX = 4 << 10
TIMEOUT_MS_MAX = 24 * 3_600_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARGUMENT = re.compile(r"^(\w+)(?: *\([^)]*\))?: *(.*)$")
_KEY = "key"


class DescribedTool(NamedTuple):
    """A tool in its process: the function, and the record that its arguments are converted to."""

    manifest: ToolManifest
    function: Callable[..., Any]
    arguments: type[msgspec.Struct]


def find_tools(module: Any, stem: str) -> dict[str, DescribedTool]:
    """The tools that a module declares, not those that it imports; by name, sorted. Raises ValueError."""
    if not _NAME.fullmatch(stem):
        raise ValueError(f"{stem}.py: a file of tools has the name of a Python module")
    found: dict[str, DescribedTool] = {}
    members: dict[str, Any] = module.__dict__
    for name, value in sorted(members.items()):
        declared: dict[str, Any] | None = getattr(value, "__dict__", {}).get(MARK)
        if declared is not None and getattr(value, "__module__", "") == module.__name__:
            try:
                tool = describe(f"{stem}.{name}", value, declared)
            except (TypeError, NameError, ValueError, msgspec.MsgspecError) as error:
                raise ValueError(f"the tool {stem}.{name}: {error}") from None
            found[tool.manifest.name] = tool
    if not found:
        raise ValueError(f"{stem}.py declares no tool: decorate a function with `@tool` of prytany")
    return found


def describe(name: str, function: Callable[..., Any], declared: dict[str, Any]) -> DescribedTool:
    """One tool. Raises ValueError, or what its annotations raise."""
    if not _NAME.fullmatch(name.rpartition(".")[2]) or len(name.encode()) > limits.NAME_BYTES_MAX:
        raise ValueError(
            f"a name is of letters, digits and _, at most {limits.NAME_BYTES_MAX}, and begins with a letter"
        )
    effect: Effect = declared["effect"]
    if effect not in get_args(Effect):
        raise ValueError(f"there is no effect {effect!r}; there are {', '.join(get_args(Effect))}")
    arguments = _arguments(function, effect)
    text, said = _document(function)
    parameters = _schema(arguments, said)
    secrets = _names(declared["secrets"], "secrets")
    for secret in secrets:
        if not _SECRET.fullmatch(secret):
            raise ValueError(f"{secret!r} is no name of an environment variable")
    resources = _names(declared["resources"], "resources")
    for resource in resources:
        _check_resource(resource, parameters["properties"])
    timeout_ms = declared["timeout_ms"] or limits.TOOL_TIMEOUT_MS
    if not isinstance(timeout_ms, int) or not 0 < timeout_ms <= TIMEOUT_MS_MAX:
        raise ValueError(f"timeout_ms is a whole number from 1 to {TIMEOUT_MS_MAX}")
    manifest = ToolManifest(name, text, parameters, effect, tuple(sorted(secrets)), resources, timeout_ms)
    return DescribedTool(manifest, function, arguments)


def _names(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f'{what} is a tuple of texts: ("{value if isinstance(value, str) else "…"}",)')
    return tuple(dict.fromkeys(value))


def _arguments(function: Callable[..., Any], effect: str) -> type[msgspec.Struct]:
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    keyed = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(f"{parameter}: every parameter is passed by its name")
        if parameter.name not in hints:
            raise ValueError(f"the parameter {parameter.name!r} has no type")
        kind = hints[parameter.name]
        if effect == "keyed" and parameter.name == _KEY:
            keyed = True
        elif parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, _default(parameter.default)))
    if effect == "keyed" and not keyed:
        raise ValueError("a keyed tool has a parameter `key: str`, the name under which a call is made again")
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


def _default(value: Any) -> Any:
    if type(value) in (list, dict, set) and value:
        return msgspec.field(default_factory=lambda: copy.deepcopy(value))
    return value


def _schema(arguments: type[msgspec.Struct], said: dict[str, str]) -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    schema = dict(components.pop("Arguments"))
    schema.pop("title", None)
    schema.setdefault("properties", {})
    schema.setdefault("required", [])
    for name, text in said.items():
        if name in schema["properties"]:
            schema["properties"][name].setdefault("description", text)
    if components:
        schema["$defs"] = components
    if len(msgspec.json.encode(schema)) > limits.SCHEMA_BYTES_MAX:
        raise ValueError(f"its schema has more than {limits.SCHEMA_BYTES_MAX} bytes")
    return schema


def _document(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What comes before the sections of a docstring, and what its `Args:` say of each parameter."""
    lines = (inspect.getdoc(function) or "").splitlines()
    sections = ("Args:", "Arguments:", "Returns:", "Raises:", "Yields:", "Example:", "Examples:")
    end = next((at for at, line in enumerate(lines) if line.strip() in sections), len(lines))
    text = "\n".join(lines[:end]).strip()
    if not text:
        raise ValueError("it has no docstring, and nobody could know what it is for")
    if len(text.encode()) > DESCRIPTION_BYTES_MAX:
        raise ValueError(f"its description has more than {DESCRIPTION_BYTES_MAX} bytes")
    said: dict[str, str] = {}
    current, inside = "", False
    for line in lines[end:]:
        if line.strip() in sections:
            inside = line.strip() in sections[:2]
        elif inside and (match := _ARGUMENT.match(line.strip())) and _indent(line) <= 4:
            current = match[1]
            said[current] = match[2]
        elif inside and current and line.strip():
            said[current] += " " + line.strip()
    return text, said


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _check_resource(template: str, properties: dict[str, Any]) -> None:
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if spec or conversion or name not in properties:
            raise ValueError(f"the resource {template!r} names no parameter by {{{name}}}")
        kind = properties[name]
        if kind.get("type") not in ("string", "integer", "boolean") and "enum" not in kind:
            raise ValueError(f"the resource {template!r} needs {name} to be a text, a whole number or a choice")
