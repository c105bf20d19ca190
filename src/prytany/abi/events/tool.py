"""Events of tools."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class ToolsGranted(msgspec.Struct, array_like=True, frozen=True, tag="tools.granted/1"):
    """The operator granted the tools of one file to a run: what they said of themselves, and the file's text."""

    run: int
    path: str
    tools: list[str]
    manifest: Digest
    source: Digest


class ToolsNarrowed(msgspec.Struct, array_like=True, frozen=True, tag="tools.narrowed/1"):
    """Of the tools of its run, a process has only these; in the entry of its spawn."""

    pid: int
    tools: list[str]


class ToolCalled(msgspec.Struct, array_like=True, frozen=True, tag="tool.called/1"):
    """What was decided of a tool call when it was opened; in the entry of its intent.

    `resources` are keyed digests of what it must have to itself; they name no stored content.
    """

    pid: int
    n: int
    tool: str
    effect: str
    resources: list[bytes]
    manifest: Digest


class ToolStarted(msgspec.Struct, array_like=True, frozen=True, tag="tool.started/1"):
    """The effect begins once this is durable. Again, for a call in doubt that an operator said to make once more."""

    pid: int
    n: int


class ToolHoldAsked(msgspec.Struct, array_like=True, frozen=True, tag="tool.hold_asked/1"):
    """Call `n` waits to hold what a tool needs; in its entry. `resources` as of `ToolCalled`."""

    pid: int
    n: int
    tool: str
    resources: list[bytes]


class ToolHeld(msgspec.Struct, array_like=True, frozen=True, tag="tool.held/1"):
    """A process holds what a tool needs, since its call `n`: in the entry of that, or of its end."""

    pid: int
    n: int
    tool: str
    resources: list[bytes]


class ToolLetGo(msgspec.Struct, array_like=True, frozen=True, tag="tool.let_go/1"):
    """A process lets go of what it holds since its call `n`; it is free when nothing of it is under way there."""

    pid: int
    n: int
