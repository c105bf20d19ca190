"""Whether arguments fit a tool's JSON Schema: the part of it that a Python signature leads to.

Types, objects, arrays, choices, bounds and references. What a schema says beyond that (patterns, formats) is for the
tool's own process, which converts the arguments to its types; a schema comes from the operator, a value from anyone.

Source: JSON Schema 2020-12, Validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from prytany.abi import limits

Schema = dict[str, Any]
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def mismatch(schema: Schema, value: Any) -> str:
    """What is wrong with `value`, and where; "" when it fits."""
    return _mismatch(schema, value, "", schema.get("$defs", {}), 0)


def _mismatch(schema: Schema, value: Any, where: str, defs: dict[str, Schema], depth: int) -> str:
    place = where or "the arguments"
    if depth > limits.SCHEMA_DEPTH_MAX:
        return f"{place[:200]} is nested more than {limits.SCHEMA_DEPTH_MAX} deep"
    if (reference := schema.get("$ref")) is not None:
        return _mismatch(defs[reference.rpartition("/")[2]], value, where, defs, depth + 1)
    if (choices := schema.get("anyOf")) is not None:
        found = [_mismatch(choice, value, where, defs, depth + 1) for choice in choices]
        return "" if "" in found else min(found, key=lambda text: text.startswith(f"{place} has to be"))
    if "enum" in schema and not any(value == e and type(value) is type(e) for e in schema["enum"]):
        return f"{place} has to be one of {', '.join(map(repr, schema['enum']))}"
    kind = schema.get("type")
    if isinstance(kind, str) and not _TYPES[kind](value):
        return f"{place} has to be of type {kind}"
    if isinstance(value, str):
        return _bounds(place, "characters", len(value), schema.get("minLength"), schema.get("maxLength"))
    if _TYPES["array"](value):
        return _array(schema, value, where, defs, depth)
    if _TYPES["object"](value):
        return _object(schema, value, where, defs, depth)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(schema, value, place)
    return ""


def _bounds(place: str, unit: str, size: int, least: int | None, most: int | None) -> str:
    if least is not None and size < least:
        return f"{place} has {size} {unit}, and {least} is the least"
    if most is not None and size > most:
        return f"{place} has {size} {unit}, and {most} is the most"
    return ""


def _number(schema: Schema, value: float, place: str) -> str:
    if "minimum" in schema and value < schema["minimum"]:
        return f"{place} has to be at least {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        return f"{place} has to be at most {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"{place} has to be more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return f"{place} has to be less than {schema['exclusiveMaximum']}"
    return ""


def _array(schema: Schema, value: list[Any], where: str, defs: dict[str, Schema], depth: int) -> str:
    wrong = _bounds(where or "the arguments", "items", len(value), schema.get("minItems"), schema.get("maxItems"))
    if wrong:
        return wrong
    firsts: list[Schema] = schema.get("prefixItems", [])
    rest: Any = schema.get("items")
    for at, item in enumerate(value):
        of: Any = firsts[at] if at < len(firsts) else rest
        if isinstance(of, dict) and (wrong := _mismatch(cast("Schema", of), item, f"{where}[{at}]", defs, depth + 1)):
            return wrong
        if of is False:
            return f"{where}[{at}] is one item too many"
    return ""


def _object(schema: Schema, value: dict[Any, Any], where: str, defs: dict[str, Schema], depth: int) -> str:
    known: dict[str, Schema] = schema.get("properties", {})
    others: Any = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            return f"{name!r} is missing" + (f" in {where}" if where else "")
    for name, item in value.items():
        if not isinstance(name, str):
            return f"{where or 'the arguments'} has a name that is no text"
        place = f"{where}.{name[:100]}" if where else name[:100]
        of: Any = known.get(name, others)
        if of is False:
            return f"{name[:100]!r} is unknown" + (f" in {where}" if where else "")
        if isinstance(of, dict) and (wrong := _mismatch(cast("Schema", of), item, place, defs, depth + 1)):
            return wrong
    return ""
