"""Tools: functions of the operator, run outside the kernel, one file of them a port."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

Effect = Literal["pure", "keyed", "unsafe"]
"""What a call that may have happened, or not, is worth: made again; made again under its key; a person's decision."""


class ToolManifest(msgspec.Struct, frozen=True):
    """What a tool says of itself; `parameters` is a JSON Schema of an object."""

    name: str
    """`module.function`"""
    description: str
    parameters: dict[str, Any]
    effect: Effect = "unsafe"
    secrets: tuple[str, ...] = ()
    """Of the operator's environment, by name: its process holds these and no others."""
    resources: tuple[str, ...] = ()
    """Templates over the parameters, `orders/{order_id}`; two calls with the same resource do not run at once."""
    timeout_ms: int = 0


class ToolFeatures(msgspec.Struct, frozen=True):
    """What a driver of tools can do."""

    concurrent: bool = False
    """Several calls at once."""
    cancels: bool = False
    """A call that nobody waits for any more is told so."""


class ToolFailure(Exception):
    """A call that gave no result; the kernel turns it into an errno, makes it again, or puts it in doubt.

    Attributes:
        kind: `raised` (the function did), `arguments` (they do not fit its types), `too_large` (its result),
            `unavailable` (it could not be begun), `no_secret` (it lacks one), `died` or `timeout` (its process
            ended in the middle).
        begun: the function may have done something, and nobody knows what.
    """

    def __init__(self, kind: str, message: str, *, begun: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.begun = begun


class Tools(Protocol):
    """The tools of one file, as they were when it was loaded."""

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def source(self) -> bytes:
        """Its text: what runs is this, whatever becomes of the file."""
        ...

    @property
    def manifests(self) -> dict[str, ToolManifest]:
        """By name, sorted."""
        ...

    @property
    def features(self) -> ToolFeatures:
        """What the driver can do."""
        ...

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        """Call one tool; its result, plain data. `key` names this call for ever. Raises ToolFailure."""
        ...

    async def close(self) -> None:
        """End its processes."""
        ...
