"""From a declaration to a manifest, and what is no declaration."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pytest

from prytany import tool
from prytany.abi import limits
from prytany.drivers.tools.python.describe import DescribedTool, find_tools


@dataclass
class Line:
    sku: str
    count: int = 1


class Address(msgspec.Struct):
    street: str
    zip: str | None = None


def described(function: Callable[..., Any]) -> DescribedTool:
    module = types.ModuleType("shop")
    function.__module__ = "shop"
    setattr(module, function.__name__, function)
    (found,) = find_tools(module, "shop").values()
    return found


def test_the_schema_comes_from_the_signature_and_the_words_from_the_docstring() -> None:
    @tool(effect="pure", secrets=("B", "A", "B"), resources=("orders/{order}",), timeout_ms=5)
    def place(
        order: str,
        lines: list[Line],
        kind: Literal["post", "van"] = "post",
        to: Address | None = None,
        weights: dict[str, float] = {},  # noqa: B006 what people write
        fast: bool = False,
    ) -> int:
        """Place an order.

        It is sent at once.

        Args:
            order: its number,
                as printed.
            lines (list): what is ordered.

        Returns:
            fast: nothing of the kind.
        """
        return 0

    manifest = described(place).manifest
    assert (manifest.name, manifest.effect, manifest.secrets) == ("shop.place", "pure", ("A", "B"))
    assert manifest.description == "Place an order.\n\nIt is sent at once."
    assert (manifest.resources, manifest.timeout_ms) == (("orders/{order}",), 5)
    schema = manifest.parameters
    assert schema["required"] == ["order", "lines"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["order"] == {"type": "string", "description": "its number, as printed."}
    assert schema["properties"]["lines"]["description"] == "what is ordered."
    assert schema["properties"]["kind"] == {"enum": ["post", "van"], "default": "post"}
    assert "description" not in schema["properties"]["fast"]
    assert set(schema["$defs"]) == {"Line", "Address"}


def test_what_says_nothing_of_itself_is_unsafe() -> None:
    @tool
    async def ping() -> None:
        """Ping."""

    manifest = described(ping).manifest
    assert (manifest.effect, manifest.secrets, manifest.timeout_ms) == ("unsafe", (), limits.TOOL_TIMEOUT_MS)
    assert manifest.parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_the_key_of_a_keyed_tool_is_no_parameter_of_its_caller() -> None:
    @tool(effect="keyed")
    def pay(order: str, key: str) -> None:
        """Pay."""

    assert list(described(pay).manifest.parameters["properties"]) == ["order"]


def undocumented(a: str) -> None: ...
def untyped(a) -> None:  # type: ignore[no-untyped-def]
    """Doc."""


def positional(a: str, /) -> None:
    """Doc."""


def several(*a: str) -> None:
    """Doc."""


def named(**a: str) -> None:
    """Doc."""


def plain(a: str, b: list[str], key: str = "") -> None:
    """Doc."""


def keyless(a: str) -> None:
    """Doc."""


def strange(a: Callable[[], None]) -> None:
    """Doc."""


def unknown(a: Nowhere) -> None:  # type: ignore[name-defined] # noqa: F821
    """Doc."""


def long(a: str) -> None:
    """Doc."""


long.__doc__ = "x" * 10_000


def wide(a: str) -> None:
    """Doc."""


wide.__annotations__["a"] = Literal[tuple(f"{n:08}" for n in range(3_000))]


@pytest.mark.parametrize(
    ("function", "declared"),
    [
        (undocumented, {}), (untyped, {}), (positional, {}), (several, {}), (named, {}), (strange, {}), (unknown, {}),
        (long, {}), (wide, {}), (keyless, {"effect": "keyed"}), (plain, {"effect": "harmless"}),
        (plain, {"secrets": "KEY"}), (plain, {"secrets": ("A B",)}), (plain, {"secrets": ("",)}),
        (plain, {"secrets": ("A=B",)}), (plain, {"resources": "x"}), (plain, {"resources": ("{c}",)}),
        (plain, {"resources": ("{a.__class__}",)}), (plain, {"resources": ("{a!r}",)}), (plain, {"resources": ("{",)}),
        (plain, {"resources": ("{b}",)}), (plain, {"resources": ("{}",)}), (plain, {"resources": ("{a:>9}",)}),
        (plain, {"timeout_ms": -1}), (plain, {"timeout_ms": 1 << 60}), (plain, {"timeout_ms": 1.5}),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_and_names_the_function(
    function: Callable[..., Any], declared: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"shop.{function.__name__}"):
        described(tool(**declared)(function))


def test_a_file_without_tools_or_with_a_strange_name_is_refused() -> None:
    module = types.ModuleType("shop")
    with pytest.raises(ValueError, match="declares no tool"):
        find_tools(module, "shop")
    with pytest.raises(ValueError, match="name of a Python module"):
        find_tools(module, "a b")


def test_a_tool_that_is_only_imported_is_not_the_files() -> None:
    @tool
    def elsewhere() -> None:
        """Doc."""

    module = types.ModuleType("shop")
    module.__dict__["elsewhere"] = elsewhere
    with pytest.raises(ValueError, match="declares no tool"):
        find_tools(module, "shop")
