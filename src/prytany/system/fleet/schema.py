"""The JSON Schema of fleet files, for editors and for people. It is a file, made of the form by `tools.generate`."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("fleet.schema.json")


def schema_text() -> str:
    """The schema, indented, with a line end."""
    return FILE.read_text(encoding="utf-8")
