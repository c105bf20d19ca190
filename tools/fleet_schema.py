"""The JSON Schema of fleet files, made from their form, for `tools.generate`.

It accepts what `fleet check` accepts: where text is wanted, numbers and truths are text as well; where something else
is, text is taken that is written like it, or names a variable.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from prytany.system.fleet.form import Fleet

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {
    "description": "`${NAME}` is a variable of the environment, `${NAME:-text}` with what to take where it is not set",
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
}
WRITTEN = {
    "integer": r"^[+-]?[0-9][0-9_]*$",
    "number": r"^[+-]?[0-9_]*\.?[0-9_]*([eE][+-]?[0-9]+)?$",
    "boolean": "^([Tt][Rr][Uu][Ee]|[Yy][Ee][Ss]|[Oo][Nn]|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff])$",
}
"""What stands in quotes, or is a word to one version of YAML and a truth to another."""


def fleet_schema() -> str:
    """The schema, indented, with a line end."""
    _, parts = msgspec.json.schema_components([Fleet], ref_template="#/$defs/{name}")
    parts["Variable"] = VARIABLE
    whole = {name: part if name == "Variable" else _part(part) for name, part in parts.items()}
    top = whole.pop("Fleet")
    found = {
        "$schema": DIALECT,
        "title": "A fleet of Prytany",
        **top,
        "patternProperties": {"^x-": {}},
        "$defs": dict(sorted(whole.items())),
    }
    _name_keys(found, parts)
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def _part(schema: Schema) -> Schema:
    """One struct, with what its keys take."""
    properties = {name: _value(value) for name, value in schema["properties"].items()}
    kept = {key: value for key, value in schema.items() if key not in ("title", "properties", "required")}
    required = {"required": schema["required"]} if schema["required"] else {}
    return {**kept, "properties": properties, **required}


def _value(schema: Schema) -> Schema:
    """What a key takes; its description stands first, where editors look for it."""
    described, choices = _choices(schema)
    one = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return {"description": described, **one} if described else one


def _choices(schema: Schema) -> tuple[str, list[Schema]]:
    schema = {key: value for key, value in schema.items() if key not in ("default", "title")}
    described = str(schema.pop("description", ""))
    if "anyOf" in schema:
        below = [_choices(member) for member in schema["anyOf"]]
        return described or next(filter(None, (text for text, _ in below)), ""), [
            c for _, found in below for c in found
        ]
    return described, _taken(schema)


def _taken(schema: Schema) -> list[Schema]:
    """What is accepted where this is wanted."""
    variable: Schema = {"$ref": "#/$defs/Variable"}
    kind = schema.get("type")
    if "enum" in schema:
        values = cast("list[Any]", schema["enum"])
        return [{"enum": [*values, *(str(v) for v in values if not isinstance(v, str))]}, variable]
    if kind == "string" and "pattern" in schema:
        return [schema, {"type": "boolean"}, variable]
    if kind == "string":
        return [{**schema, "type": ["string", "number", "boolean"]}]
    if kind in WRITTEN:
        return [schema, {"type": "string", "pattern": WRITTEN[str(kind)]}, variable]
    if kind == "array":
        return [{**schema, "items": _value(schema["items"])}]
    if isinstance(schema.get("additionalProperties"), dict):
        return [{**schema, "additionalProperties": _value(schema["additionalProperties"])}]
    return [schema]


def _name_keys(schema: Schema, parts: Schema) -> None:
    """Names of agents, models and the like are bounded as the values that name them; msgspec says nothing of keys."""
    name = {key: parts["Fleet"]["properties"]["name"][key] for key in ("pattern", "maxLength")}
    for field in msgspec.structs.fields(Fleet):
        kind = msgspec.inspect.type_info(field.type)
        while isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        if isinstance(kind, msgspec.inspect.DictType):
            schema["properties"][field.name]["propertyNames"] = name
