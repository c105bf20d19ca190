"""Shared segments: who changes what is decided against the version that is there."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Edquot, Einval, Enoent
from prytany.abi.values import pack
from prytany.ipc.segments import Segment, weight
from prytany.kernel.handlers.deadline import deadline_ns
from prytany.kernel.handlers.lock import check_name
from prytany.kernel.outcome import Context, Done, Opened
from prytany.kernel.scope import scope_of
from prytany.process.process import Process

GONE = pack([None, 0])
"""What is answered of a segment that there is not."""
VERSION_MAX = 1 << 62


def sys_segment_read(k: Context, p: Process, n: int, a: Any) -> Done:
    """Value and version."""
    check_name(a.name, "segment", "segment_read")
    segment = k.state.segments.get(scope_of(k.fleets, p), a.name)
    if segment is None:
        raise _absent(a.name, "segment_read")
    return Done(msgspec.Raw(held(k, segment)))


def sys_segment_write(k: Context, p: Process, n: int, a: Any) -> Done:
    """Compare and set in one entry."""
    call, scope = "segment_write", scope_of(k.fleets, p)
    check_name(a.name, "segment", call)
    _check_version(a.version, -1, call)
    segments, value = k.state.segments, pack(a.value)
    if len(value) > limits.SEGMENT_BYTES_MAX:
        raise Einval(f"a segment has at most {limits.SEGMENT_BYTES_MAX} bytes, packed", call=call)
    there = segments.get(scope, a.name)
    _compare(there, a.version, a.name, call)
    count, size_bytes = segments.weighs(scope)
    more = len(value) - there.size_bytes if there is not None else weight(a.name, len(value))
    if there is None and count >= limits.SEGMENTS_MAX:
        raise Edquot(f"{limits.SEGMENTS_MAX} segments are the most that one scope has", call=call)
    if more > 0 and size_bytes + more > limits.SEGMENTS_BYTES_MAX:
        raise Edquot(f"{limits.SEGMENTS_BYTES_MAX} bytes are the most that the segments of one scope have", call=call)
    version = segments.next_version(scope, a.name)
    written = ev.SegmentWritten(p.pid, scope, a.name, version, k.digest(value), len(value))
    return Done(version, before=(written,), contents=(value,), spare=True)


def sys_segment_wait(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """Answered at once where it is another already."""
    call, scope = "segment_wait", scope_of(k.fleets, p)
    check_name(a.name, "segment", call)
    _check_version(a.after, 0, call)
    until_ns = deadline_ns(k, a.timeout_ms, call)
    segment = k.state.segments.get(scope, a.name)
    if (segment.version if segment is not None else 0) != a.after:
        return Done(msgspec.Raw(held(k, segment)))
    if len(k.state.segments.watched.get(f"{scope}/{a.name}", ())) >= limits.SEGMENT_QUEUE_MAX:
        raise Eagain(f"{limits.SEGMENT_QUEUE_MAX} wait for {a.name!r}", call=call)
    return Opened(until_ns, (ev.SegmentAwaited(p.pid, n, scope, a.name, a.after),))


def sys_segment_delete(k: Context, p: Process, n: int, a: Any) -> Done:
    """Whoever waits for a change of it sees that it is gone."""
    call, scope = "segment_delete", scope_of(k.fleets, p)
    check_name(a.name, "segment", call)
    _check_version(a.version, -1, call)
    there = k.state.segments.get(scope, a.name)
    if there is None:
        raise _absent(a.name, call)
    _compare(there, a.version, a.name, call)
    return Done(None, after=(ev.SegmentDeleted(p.pid, scope, a.name),))


def sys_segment_list(k: Context, p: Process, n: int, a: Any) -> Done:
    """Names, and no values."""
    if len(a.prefix.encode()) > limits.NAME_BYTES_MAX:
        raise Einval(f"a prefix has at most {limits.NAME_BYTES_MAX} bytes", call="segment_list")
    found = k.state.segments.named(scope_of(k.fleets, p), a.prefix)
    return Done([{"name": name, "version": one.version, "bytes": one.size_bytes} for name, one in found])


def held(k: Context, segment: Segment | None) -> bytes:
    """What a reader is answered with, packed. Raises Eio where the value was forgotten."""
    if segment is None:
        return GONE
    return pack([msgspec.Raw(k.content(segment.value, segment.seq)), segment.version])


def _compare(there: Segment | None, wanted: int, name: str, call: str) -> None:
    version = there.version if there is not None else 0
    if wanted not in (-1, version):
        said = f"version {version} of it is there" if version else "it is not there"
        raise Ebusy(f"segment {name!r} was changed meanwhile: {said}", call=call, detail={"version": version})


def _check_version(version: int, least: int, call: str) -> None:
    if not least <= version <= VERSION_MAX:
        raise Einval(f"a version is from {least} to {VERSION_MAX}", call=call)


def _absent(name: str, call: str) -> Enoent:
    return Enoent(f"there is no segment {name!r}", call=call)
