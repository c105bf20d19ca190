"""What a process says to people, as it becomes durable: pieces of its model's text, its replies, what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.control import Heard, Said
from prytany.abi.errors import Eio
from prytany.ports.store import Reader

ENTRIES_AT_ONCE = 4_096
SAID_MAX = 1_024
SAID_BYTES_MAX = 1 << 20
"""Of content in one answer; the entry with which it is reached is still in it, and has less than a result may have."""
Content = Callable[[bytes, int], bytes]
FORGOTTEN = object()
"""Stands for content that was destroyed."""


def hear(
    reader: Reader, content: Content, pid: int, after: int, durable: int, *, forgotten: Callable[[], bool]
) -> Heard:
    """What process `pid` said after entry `after`, until that is `SAID_MAX` things or `SAID_BYTES_MAX`; `last` is how
    far was looked.

    Args:
        reader: always at the newest.
        content: stored content, by its digest and the entry that names it; raises Eio.
        pid: the process.
        after: the last entry that was heard.
        durable: the last entry that may be told of.
        forgotten: whether the process's content was destroyed by an operator's command; asked where some is not there.

    Raises:
        Eio: content is not there, or damaged, and nobody had it forgotten.
    """

    size_bytes = 0

    def read(digest: bytes, seq: int) -> object:
        nonlocal size_bytes
        try:
            found_here = content(digest, seq)
            size_bytes += len(found_here)
            return _unpacked(found_here)
        except Eio:
            if not forgotten():
                raise
            return FORGOTTEN

    found: list[Said] = []
    last = after
    for row in reader.rows(after + 1, min(durable, after + ENTRIES_AT_ONCE)):
        last = row.seq
        for event in ev.decode_entry(row.record).events:
            found += _said(event, pid, row.seq, read)
        if len(found) >= SAID_MAX or size_bytes >= SAID_BYTES_MAX:
            break
    return Heard(last=last, said=found)


def _said(event: ev.Event, pid: int, seq: int, read: Callable[[bytes, int], object]) -> Iterator[Said]:
    if isinstance(event, ev.MessageSent):
        if event.receiver == pid and event.sender < 0:
            sent: Any = read(event.body, seq)
            gone = sent is FORGOTTEN
            told = {"uid": -1 - event.sender, "type": event.kind, "body": None if gone else sent["body"]}
            yield Said(seq=seq, kind="said", number=event.number, value=told, forgotten=gone)
        return
    if getattr(event, "pid", 0) != pid:
        return
    match event:
        case ev.CallOpened(call="model_chat"):
            yield Said(seq=seq, kind="model", number=event.n)
        case ev.CallPiece():
            yield _with(Said(seq=seq, kind="piece", number=event.n), read(event.piece, seq))
        case ev.ToolCalled():
            yield Said(seq=seq, kind="tool", number=event.n, value=event.tool)
        case ev.MessageReplied():
            reply = Said(seq=seq, kind="reply", number=event.number, errno=event.errno)
            yield _with(reply, read(event.reply, seq))
        case ev.MessageDone() if event.number:
            yield Said(seq=seq, kind="done", number=event.number)
        case ev.IncidentOpened():
            yield Said(seq=seq, kind="incident", number=event.n, value=event.kind)
        case ev.ProcessHandedOff():
            yield Said(seq=seq, kind="handoff", value={"by": event.by, "agent": event.agent})
        case ev.ProcessPaused():
            yield Said(seq=seq, kind="stopped", value=event.reason)
        case ev.ProcessExited():
            yield Said(seq=seq, kind="ended", number=event.status, value=event.reason)
        case _:
            pass


def _with(said: Said, value: object) -> Said:
    if value is FORGOTTEN:
        said.forgotten = True
    else:
        said.value = value
    return said


def _unpacked(value: bytes) -> object:
    return msgspec.msgpack.decode(value) if value else None
