"""Events of shared segments. Names stand in them, values do not."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class SegmentWritten(msgspec.Struct, array_like=True, frozen=True, tag="segment.written/1"):
    """A process put a value into a segment, which has that version from here on. `value` is packed, of `size_bytes`."""

    pid: int
    scope: str
    name: str
    version: int
    value: Digest
    size_bytes: int


class SegmentDeleted(msgspec.Struct, array_like=True, frozen=True, tag="segment.deleted/1"):
    """A process removed a segment."""

    pid: int
    scope: str
    name: str


class SegmentAwaited(msgspec.Struct, array_like=True, frozen=True, tag="segment.awaited/1"):
    """Call `n` waits until a segment has another version than `after`; in its entry."""

    pid: int
    n: int
    scope: str
    name: str
    after: int
