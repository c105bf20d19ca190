"""A JSON Schema that a person wrote badly is found out before anything is held against it."""

from __future__ import annotations

from typing import Any

import pytest

from prytany.abi.schema import mismatch
from prytany.abi.schema_form import schema_fault

SOUND: list[dict[str, Any]] = [
    {}, {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]},
    {"type": ["string", "null"]}, {"type": "array", "items": {"type": "integer", "minimum": 0}}, {"enum": [1, None]},
    {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"type": "number"}}},
    {"properties": {"type": {"type": "string"}, "required": True}, "additionalProperties": False}, {"items": False},
    {"description": 5, "format": "date"},
]  # fmt: skip
WRONG: list[tuple[Any, tuple[str | int, ...]]] = [
    (5, ()), ([], ()), ({"type": "strng"}, ("type",)), ({"type": 5}, ("type",)), ({"type": []}, ("type",)),
    ({"type": ["string", 5]}, ("type",)), ({"type": {}}, ("type",)), ({"properties": 5}, ("properties",)),
    ({"properties": {"a": 5}}, ("properties", "a")),
    ({"properties": {"a": {"type": "x"}}}, ("properties", "a", "type")),
    ({"required": "a"}, ("required",)), ({"required": [1]}, ("required",)), ({"enum": []}, ("enum",)),
    ({"anyOf": {}}, ("anyOf",)), ({"anyOf": [1]}, ("anyOf", 0)), ({"minimum": "1"}, ("minimum",)),
    ({"maxLength": True}, ("maxLength",)), ({"items": "x"}, ("items",)), ({"$ref": "#/$defs/x"}, ("$ref",)),
    ({"$ref": 5}, ("$ref",)), ({"$defs": []}, ("$defs",)), ({"$defs": {"x": {"type": "y"}}}, ("$defs", "x", "type")),
    ({"x": float("inf")}, ()), ({"x": b""}, ()), ({"x": "x" * 20_000}, ()), ({"prefixItems": 5}, ("prefixItems",)),
    ({"additionalProperties": []}, ("additionalProperties",)),
]  # fmt: skip


@pytest.mark.parametrize("schema", SOUND, ids=str)
def test_a_sound_one_is_taken_and_can_be_held_against_anything(schema: dict[str, Any]) -> None:
    assert schema_fault(schema) == ((), "")
    for value in (None, 1, "x", [], [1], {}, {"a": 1}):
        mismatch(schema, value)


@pytest.mark.parametrize(("schema", "where"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_one_is_refused_with_its_place(schema: Any, where: tuple[str | int, ...]) -> None:
    place, what = schema_fault(schema)
    assert what
    assert place == where


def test_a_deep_one_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"items": schema}
    assert schema_fault(schema)[1]
