"""`proc.tools`: the operator's tools, by name."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from prytany.abi.errors import Einval
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


class Held:
    """What is held within `async with`; made by `Tools.hold`."""

    def __init__(self, calls: Calls, name: str, arguments: dict[str, Any]) -> None:
        self._calls = calls
        self._asked = name, arguments
        self._hold = 0

    async def __aenter__(self) -> Held:
        if self._hold:
            raise Einval("this object holds it already; another can wait for it", call="tool_hold")
        self._hold = await self._calls.tool_hold(*self._asked)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hold, self._hold = self._hold, 0
        await self._calls.tool_release(hold)


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

    def hold(self, name: str, /, **arguments: Any) -> Held:
        """What calls of a tool with these arguments need, over several calls, for `async with`. Calls of this process
        that need it go through, one after the other; those of others wait.

        Args:
            name: of the tool.
            arguments: those by which it says what it needs, and no others.

        Raises, as it is entered:
            Eperm: it was not granted to this run, or `tools` is not pledged.
            Einval: the arguments do not fit, or the tool needs nothing to itself.
            Edeadlk: nobody of those that wait for each other could have gone on.
        """
        return Held(self._calls, name, arguments)

    async def list(self) -> list[dict[str, Any]]:
        """What this run was granted: name, description, parameters (a JSON Schema) and effect."""
        return await self._calls.tool_list()
