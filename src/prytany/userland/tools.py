"""`proc.tools`: the operator's tools, by name."""

from __future__ import annotations

from typing import Any

from prytany.userland.calls import Calls


class NamedTool:
    """A tool, or the beginning of the name of one; awaiting its call gives its result."""

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._name = name

    def __getattr__(self, part: str) -> NamedTool:
        if part.startswith("_"):
            raise AttributeError(part)
        return NamedTool(self._calls, f"{self._name}.{part}")

    async def __call__(self, **arguments: Any) -> Any:
        """Call it.

        Raises:
            Eperm: it was not granted to this run, or `tools` is not pledged.
            Einval: the arguments do not fit; the message says where.
            Etool: it raised, or its process ended and trying again did not help.
            Eindoubt: it was begun, its outcome is not known, and the operator said to go on without it.
        """
        return await self._calls.tool_call(self._name, arguments)

    def __repr__(self) -> str:
        return f"<tool {self._name}>"


class Tools:
    """`proc.tools.prices.lookup(sku="x")`, or `proc.tools["prices.lookup"](sku="x")`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __getattr__(self, module: str) -> NamedTool:
        if module.startswith("_"):
            raise AttributeError(module)
        return NamedTool(self._calls, module)

    def __getitem__(self, name: str) -> NamedTool:
        return NamedTool(self._calls, name)

    async def list(self) -> list[dict[str, Any]]:
        """What this run was granted: name, description, parameters (a JSON Schema) and effect."""
        return await self._calls.tool_list()
