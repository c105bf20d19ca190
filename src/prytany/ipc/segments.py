"""Shared segments: small values by name, each with a version that grows with every write.

A value's bytes lie in the entry that wrote them, under their digest. A name that was removed and is written again goes
on above all versions that were removed in its scope: a version that somebody remembers never comes again with another
value.

Invariant: `due` holds those whose segment has another version than the one they wait beyond, and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from prytany.abi import events as ev


class Segment(msgspec.Struct, array_like=True):
    """One value: packed, under `value` in entry `seq`."""

    version: int
    value: bytes
    seq: int
    size_bytes: int
    pid: int
    """Who wrote it."""
    written_ns: int = 0


class Scope(msgspec.Struct, array_like=True):
    """What processes that know each other share."""

    segments: dict[str, Segment] = {}
    size_bytes: int = 0
    """Of all of them, with their names."""
    removed: int = 0
    """The highest version that was removed."""


class Waiter(msgspec.Struct, array_like=True):
    """Call `n` of a process waits for another version than `after`."""

    pid: int
    n: int
    scope: str
    name: str
    after: int


class Segments(msgspec.Struct):
    """All segments of a shard."""

    scopes: dict[str, Scope] = {}
    waiting: dict[int, dict[int, Waiter]] = {}
    """Process, then call."""
    watched: dict[str, dict[str, None]] = {}
    """`scope/name` to `pid:n` of who waits for it."""
    due: dict[str, None] = {}
    """`pid:n` of those who can be answered."""

    def get(self, scope: str, name: str) -> Segment | None:
        """A segment; None where there is none."""
        found = self.scopes.get(scope)
        return None if found is None else found.segments.get(name)

    def weighs(self, scope: str) -> tuple[int, int]:
        """How many segments a scope has, and their bytes."""
        found = self.scopes.get(scope)
        return (0, 0) if found is None else (len(found.segments), found.size_bytes)

    def next_version(self, scope: str, name: str) -> int:
        """What the next write makes of it."""
        found = self.scopes.get(scope)
        if found is None:
            return 1
        segment = found.segments.get(name)
        return (segment.version if segment is not None else found.removed) + 1

    def named(self, scope: str, prefix: str) -> Iterator[tuple[str, Segment]]:
        """Those whose names begin so, by name."""
        found = self.scopes.get(scope)
        if found is not None:
            yield from sorted((name, one) for name, one in found.segments.items() if name.startswith(prefix))

    def values(self) -> Iterator[bytes]:
        """The digests of all values that there are."""
        return (segment.value for scope in self.scopes.values() for segment in scope.segments.values())

    def waiter(self, pid: int, n: int) -> Waiter | None:
        """What an open call waits for."""
        return self.waiting.get(pid, {}).get(n)

    # Folds.

    def written(self, seq: int, now_ns: int, e: ev.SegmentWritten) -> None:
        """Fold a value; whoever waits for another version has one."""
        scope = self.scopes.get(e.scope)
        if scope is None:
            scope = self.scopes[e.scope] = Scope()
        before = scope.segments.get(e.name)
        scope.size_bytes += e.size_bytes - before.size_bytes if before else weight(e.name, e.size_bytes)
        scope.segments[e.name] = Segment(e.version, e.value, seq, e.size_bytes, e.pid, now_ns)
        self._changed(e.scope, e.name, e.version)

    def deleted(self, seq: int, now_ns: int, e: ev.SegmentDeleted) -> None:
        """Fold that it is gone."""
        scope = self.scopes[e.scope]
        segment = scope.segments.pop(e.name)
        scope.size_bytes -= weight(e.name, segment.size_bytes)
        scope.removed = max(scope.removed, segment.version)
        self._changed(e.scope, e.name, 0)

    def awaited(self, seq: int, now_ns: int, e: ev.SegmentAwaited) -> None:
        """Fold who waits."""
        self.waiting.setdefault(e.pid, {})[e.n] = Waiter(e.pid, e.n, e.scope, e.name, e.after)
        self.watched.setdefault(f"{e.scope}/{e.name}", {})[f"{e.pid}:{e.n}"] = None

    def closed(self, seq: int, now_ns: int, e: ev.CallClosed) -> None:
        """Fold the end of a call."""
        calls = self.waiting.get(e.pid)
        waiter = calls.pop(e.n, None) if calls is not None else None
        if calls is not None and not calls:
            del self.waiting[e.pid]
        if waiter is not None:
            self._leave(waiter)

    def ended(self, pid: int) -> None:
        """Fold the end of a process, or that its program begins again."""
        for waiter in self.waiting.pop(pid, {}).values():
            self._leave(waiter)

    def scope_ended(self, scope: str) -> None:
        """Fold that nobody is left who could name what is in a scope."""
        self.scopes.pop(scope, None)

    def _changed(self, scope: str, name: str, version: int) -> None:
        for key in self.watched.get(f"{scope}/{name}", ()):
            pid, _, n = key.partition(":")
            if self.waiting[int(pid)][int(n)].after != version:
                self.due[key] = None
            else:  # it was there for a moment, and is gone again
                self.due.pop(key, None)

    def _leave(self, waiter: Waiter) -> None:
        key, place = f"{waiter.pid}:{waiter.n}", f"{waiter.scope}/{waiter.name}"
        self.due.pop(key, None)
        watchers = self.watched[place]
        del watchers[key]
        if not watchers:
            del self.watched[place]


def weight(name: str, size_bytes: int) -> int:
    """What a segment counts in its scope, bytes."""
    return len(name.encode("utf-8", "surrogatepass")) + size_bytes


FOLDS: dict[type, Callable[[Segments, int, int, ev.Event], None]] = {
    ev.SegmentWritten: Segments.written,  # type: ignore[dict-item]
    ev.SegmentDeleted: Segments.deleted,  # type: ignore[dict-item]
    ev.SegmentAwaited: Segments.awaited,  # type: ignore[dict-item]
    ev.CallClosed: Segments.closed,  # type: ignore[dict-item]
}
"""What this room folds, with the entry and the kernel's time; ends of processes and scopes beside it."""
