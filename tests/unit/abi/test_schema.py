"""Arguments against a schema: what msgspec would take, the kernel takes, and what it would not, it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from prytany.abi.schema import mismatch
from prytany.kernel.handlers.tool import resources_of
from prytany.ports.tool import ToolManifest


@dataclass
class Line:
    sku: str
    count: int = 1


class Arguments(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    number: int = 0
    share: float = 0.0
    flag: bool = False
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    either: int | str = 0
    lines: list[Line] = []
    names: dict[str, int] = {}
    pair: tuple[int, str] = (0, "")
    few: Annotated[list[int], msgspec.Meta(max_length=2)] = []
    short: Annotated[str, msgspec.Meta(min_length=1, max_length=3)] = "x"
    part: Annotated[int, msgspec.Meta(ge=1, lt=5)] = 1
    anything: Any = None


SCHEMA = msgspec.json.schema(Arguments)
FITTING: list[dict[str, Any]] = [
    {}, {"text": "\u202e\x00"}, {"number": -(1 << 60)}, {"share": 1}, {"share": 1.5}, {"flag": True}, {"kind": "b"},
    {"maybe": None}, {"maybe": 1}, {"either": "x"}, {"lines": [{"sku": "a"}, {"sku": "b", "count": 2}]},
    {"names": {"a": 1}}, {"pair": [1, "x"]}, {"few": [1, 2]}, {"short": "abc"}, {"part": 4}, {"anything": [{"a": 1}]},
]  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"text": 1}, "text"), ({"text": None}, "text"), ({"text": b"x"}, "text"), ({"number": "1"}, "number"),
    ({"number": True}, "number"), ({"number": 1.5}, "number"), ({"share": "1"}, "share"), ({"share": True}, "share"),
    ({"flag": 1}, "flag"), ({"kind": "c"}, "kind"), ({"maybe": "x"}, "maybe"), ({"either": None}, "either"),
    ({"lines": {}}, "lines"), ({"lines": [{"count": 1}]}, "lines[0]"),
    ({"lines": [{"sku": "a"}, {"sku": 2}]}, "lines[1].sku"),
    ({"names": {"a": "b"}}, "names.a"), ({"pair": [1]}, "pair"), ({"pair": [1, 2]}, "pair[1]"),
    ({"pair": [1, "x", 2]}, "pair"), ({"few": [1, 2, 3]}, "few"), ({"short": ""}, "short"),
    ({"short": "abcd"}, "short"),
    ({"part": 0}, "part"), ({"part": 5}, "part"), ({"more": 1}, "more"),
]  # fmt: skip


@pytest.mark.parametrize("value", FITTING)
def test_what_fits_fits(value: dict[str, Any]) -> None:
    assert mismatch(SCHEMA, value) == ""
    msgspec.convert(value, Arguments)


@pytest.mark.parametrize(("value", "where"), WRONG)
def test_what_does_not_is_named_by_its_place(value: dict[str, Any], where: str) -> None:
    assert where in mismatch(SCHEMA, value)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Arguments)


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -float("inf")])
def test_a_number_without_bounds_is_none(share: float) -> None:
    assert mismatch(SCHEMA, {"share": share})


def test_a_type_that_holds_itself_is_checked_to_a_bounded_depth() -> None:
    schema = {
        "type": "object", "properties": {"of": {"$ref": "#/$defs/Tree"}},
        "$defs": {"Tree": {"type": "object", "properties": {"of": {"$ref": "#/$defs/Tree"}}}},
    }  # fmt: skip
    value: dict[str, Any] = {}
    for _ in range(5_000):
        value = {"of": value}
    assert "deep" in mismatch(schema, value)


def test_a_name_in_an_error_is_bounded() -> None:
    assert len(mismatch(SCHEMA, {"x" * 100_000: 1})) < 300


def manifest(*resources: str) -> ToolManifest:
    properties = {"a": {"type": "string"}, "b": {"type": "string", "default": "none"}}
    return ToolManifest("t.t", "", {"type": "object", "properties": properties}, resources=resources)


def test_resources_are_named_from_arguments_and_defaults_each_once() -> None:
    assert resources_of(manifest("orders/{a}", "stock/{b}", "all", "orders/{a}"), {"a": "7"}) == [
        "orders/7", "stock/none", "all",
    ]  # fmt: skip


def test_no_argument_can_pass_for_another_resource() -> None:
    one = resources_of(manifest("{a}/{b}"), {"a": "x/y", "b": "z"})
    other = resources_of(manifest("{a}/{b}"), {"a": "x", "b": "y/z"})
    assert one != other
    assert resources_of(manifest("{a}"), {"a": "{b}"}) == ["%7Bb%7D"]
    assert resources_of(manifest("{a}"), {"a": "\ud800"})
