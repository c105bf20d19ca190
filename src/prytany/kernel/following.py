"""What a process says to people, as it becomes durable: pieces of its model's text, its replies, what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.control import Heard, Said
from prytany.ports.store import Reader

ENTRIES_AT_ONCE = 4_096
SAID_MAX = 1_024
Content = Callable[[bytes, int], bytes]


def hear(reader: Reader, content: Content, pid: int, after: int, durable: int) -> Heard:
    """What process `pid` said after entry `after`, at most `SAID_MAX` things; `last` is how far was looked.

    Args:
        reader: always at the newest.
        content: stored content, by its digest and the entry that names it; raises Eio.
        pid: the process.
        after: the last entry that was heard.
        durable: the last entry that may be told of.
    """
    found: list[Said] = []
    last = after
    for row in reader.rows(after + 1, min(durable, after + ENTRIES_AT_ONCE)):
        last = row.seq
        for event in ev.decode_entry(row.record).events:
            found += _said(event, pid, row.seq, content)
        if len(found) >= SAID_MAX:
            break
    return Heard(last=last, said=found)


def _said(event: ev.Event, pid: int, seq: int, content: Content) -> Iterator[Said]:
    if isinstance(event, ev.MessageSent):
        if event.receiver == pid and event.sender < 0:
            sent: Any = _unpacked(content(event.body, seq))
            told = {"uid": -1 - event.sender, "type": event.kind, "body": sent["body"]}
            yield Said(seq=seq, kind="said", number=event.number, value=told)
        return
    if getattr(event, "pid", 0) != pid:
        return
    match event:
        case ev.CallOpened(call="model_chat"):
            yield Said(seq=seq, kind="model", number=event.n)
        case ev.CallPiece():
            yield Said(seq=seq, kind="piece", number=event.n, value=_unpacked(content(event.piece, seq)))
        case ev.ToolCalled():
            yield Said(seq=seq, kind="tool", number=event.n, value=event.tool)
        case ev.MessageReplied():
            value = _unpacked(content(event.reply, seq))
            yield Said(seq=seq, kind="reply", number=event.number, errno=event.errno, value=value)
        case ev.MessageDone() if event.number:
            yield Said(seq=seq, kind="done", number=event.number)
        case ev.IncidentOpened():
            yield Said(seq=seq, kind="incident", number=event.n, value=event.kind)
        case ev.ProcessExited():
            yield Said(seq=seq, kind="ended", number=event.status, value=event.reason)
        case _:
            pass


def _unpacked(value: bytes) -> object:
    return msgspec.msgpack.decode(value) if value else None
