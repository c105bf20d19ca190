"""`proc.shared`: small values that the processes of a fleet, or else of a run, share by name."""

from __future__ import annotations

from typing import Any, NamedTuple

from prytany.userland.calls import Calls


class Value(NamedTuple):
    """What a segment holds, and its version; None and 0 where it was removed."""

    value: Any
    version: int


class Shared:
    """Each change has a version above those before, and a write can say which one it changes.

    value, version = await proc.shared.read("price")
    await proc.shared.write("price", value + 1, version=version)      # Ebusy: somebody was faster
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def read(self, name: str) -> Value:
        """Value and version. Raises Enoent."""
        return Value(*await self._calls.segment_read(name))

    async def write(self, name: str, value: Any, *, version: int = -1) -> int:
        """Put a value there; its version.

        Args:
            name: of the segment.
            value: plain data, at most 64 KiB packed.
            version: the one that is to be there, 0 for none at all; -1 for whatever is.

        Raises:
            Ebusy: another version is there; `error.detail["version"]` says which.
            Edquot: there are too many segments, or too many bytes in them.
            Einval: the value is too large, or the name none.
        """
        return await self._calls.segment_write(name, value, version)

    async def wait(self, name: str, *, after: int = 0, timeout_ms: int = 0) -> Value:
        """Wait until it has another version than `after` (0: until it is there), and read it. Raises Etimedout."""
        return Value(*await self._calls.segment_wait(name, after, timeout_ms))

    async def delete(self, name: str, *, version: int = -1) -> None:
        """Remove it, if that version is there. Raises Enoent, Ebusy."""
        await self._calls.segment_delete(name, version)

    async def list(self, prefix: str = "") -> list[dict[str, Any]]:
        """Those whose names begin so, by name: `name`, `version` and `bytes`."""
        return await self._calls.segment_list(prefix)
