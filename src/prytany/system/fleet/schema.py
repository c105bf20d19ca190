"""The JSON Schema of fleet files, made from their form: for editors, and for people."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.system.fleet.form import Fleet

TITLE = "A fleet of Prytany"


def schema_text() -> str:
    """The schema, indented, with a line end."""
    schemas, parts = msgspec.json.schema_components([Fleet], ref_template="#/$defs/{name}")
    found: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **schemas[0],
        "patternProperties": {"^x-": {}},
        "$defs": parts,
    }
    return msgspec.json.format(msgspec.json.encode(_in_place(found)), indent=2).decode() + "\n"


def _in_place(schema: dict[str, Any]) -> dict[str, Any]:
    """With the fleet's own keys at the top, where `x-` keys are let in beside them."""
    parts = schema["$defs"]
    top = parts.pop("Fleet")
    schema.pop("$ref", None)
    for part in parts.values():
        part.pop("title", None)
    return {**schema, **{key: value for key, value in top.items() if key != "title"}}
