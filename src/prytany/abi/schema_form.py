"""Whether a JSON Schema that a person wrote is one, as far as `abi.schema` reads it: what is wrong with it shows before
an agent's first answer is held against it.

Source: JSON Schema 2020-12, Core and Validation.
"""

from __future__ import annotations

import json
from typing import Any, cast

from prytany.abi import limits

_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
_NUMBERS = (
    "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
)  # fmt: skip
_SCHEMAS = ("items", "additionalProperties")
_NAMED = ("properties", "$defs")
_LISTED = ("anyOf", "prefixItems")
Where = tuple[str | int, ...]


def schema_fault(schema: Any) -> tuple[Where, str]:
    """Where in it, and what is wrong; "" for nothing."""
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return (), "it is nothing that JSON could hold"
    if size > limits.SCHEMA_BYTES_MAX:
        return (), f"it has {size} bytes as JSON; {limits.SCHEMA_BYTES_MAX} are the most"
    defs: Any = cast("dict[str, Any]", schema).get("$defs") if isinstance(schema, dict) else None
    names = cast("dict[str, Any]", defs) if isinstance(defs, dict) else {}
    return _fault(schema, (), frozenset(names), 0)


def forms_fault(forms: object) -> tuple[Where, str]:
    """The same of schemas by the type of a message."""
    if not isinstance(forms, dict):
        return (), "a JSON Schema by type is wanted"
    by_type = cast("dict[object, object]", forms)
    if len(by_type) > limits.ACCEPTS_TYPES_MAX:
        return (), f"there are {len(by_type)} types; {limits.ACCEPTS_TYPES_MAX} are the most"
    for kind, schema in by_type.items():
        if not isinstance(kind, str) or not 0 < len(kind.encode("utf-8", "replace")) <= limits.NAME_BYTES_MAX:
            return (), f"a type has 1 to {limits.NAME_BYTES_MAX} bytes"
        at, wrong = schema_fault(schema)
        if wrong:
            return (kind, *at), wrong
    return (), ""


def _fault(schema: Any, at: Where, defs: frozenset[str], depth: int) -> tuple[Where, str]:
    if depth > limits.SCHEMA_DEPTH_MAX:
        return at, f"it is nested deeper than {limits.SCHEMA_DEPTH_MAX}"
    if not isinstance(schema, dict):
        return at, "a JSON Schema is wanted: keys and values, such as `type: string`"
    form = cast("dict[str, Any]", schema)
    for key, value in form.items():
        if said := _own(key, value, defs):
            return (*at, key), said
    for place, inner in _inner(form, at):
        found = _fault(inner, place, defs, depth + 1)
        if found[1]:
            return found
    return (), ""


def _own(key: str, value: Any, defs: frozenset[str]) -> str:
    """What is wrong with one key's value, apart from the schemas in it."""
    if key == "type":
        kinds = cast("list[object]", value) if isinstance(value, list) else [value]
        if not kinds or not all(isinstance(kind, str) and kind in _KINDS for kind in kinds):
            return f"a type is one of {', '.join(_KINDS)}"
    elif key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number is wanted"
    elif key == "required":
        if not _texts(value):
            return "a list of names is wanted"
    elif key in ("enum", *_LISTED):
        if not isinstance(value, list) or not value:
            return "a list is wanted that is not empty"
    elif key in _NAMED:
        if not isinstance(value, dict):
            return "names and a schema of each are wanted"
    elif key == "$ref" and (not isinstance(value, str) or value.removeprefix("#/$defs/") not in defs):
        return f"it has to be `#/$defs/NAME`; there are {', '.join(sorted(defs)) or 'none'}"
    return ""


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))


def _inner(form: dict[str, Any], at: Where) -> list[tuple[Where, Any]]:
    """The schemas in it; what may be a truth as well is left out where it is one."""
    found = [((*at, key), form[key]) for key in _SCHEMAS if key in form and not isinstance(form[key], bool)]
    for key in _NAMED:
        found += [((*at, key, name), inner) for name, inner in form.get(key, {}).items() if not isinstance(inner, bool)]
    for key in _LISTED:
        found += [((*at, key, n), inner) for n, inner in enumerate(form.get(key, ()))]
    return found
