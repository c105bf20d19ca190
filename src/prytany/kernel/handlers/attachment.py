"""Attachments: content is put once, and each holder reads what was stored then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, Enoent
from prytany.abi.values import pack
from prytany.ipc.attachments import Attached, Part
from prytany.kernel.outcome import Context, Done
from prytany.process.process import Process


def sys_attachment_put(k: Context, p: Process, n: int, a: Any) -> Done:
    """What is stored is what a reader is answered with, so that it is stored once."""
    call, size_bytes, number = "attachment_put", len(a.content), a.number
    if size_bytes > limits.ATTACHMENT_PART_BYTES_MAX:
        raise Einval(f"a part has at most {limits.ATTACHMENT_PART_BYTES_MAX} bytes", call=call)
    if len(a.media_type.encode("utf-8", "surrogatepass")) > limits.NAME_BYTES_MAX:
        raise Einval(f"a media type has at most {limits.NAME_BYTES_MAX} bytes", call=call)
    if number:
        item = _held(k, p, number, call)
        if item.owner != p.pid or item.sealed:
            raise Einval(f"attachment {number} was sent: nothing goes behind it any more", call=call)
        if item.size_bytes + size_bytes > limits.ATTACHMENT_BYTES_MAX or len(item.parts) >= limits.ATTACHMENT_PARTS_MAX:
            raise Einval(f"an attachment has at most {limits.ATTACHMENT_BYTES_MAX} bytes", call=call)
    else:
        _check_held(k, p, 1, call)
        number = k.state.attachments.next_number
    content = pack(a.content)
    put = ev.AttachmentPut(p.pid, number, a.media_type, k.digest(content), size_bytes)
    return Done(number, (put,), contents=(content,), spare=True)


def sys_attachment_read(k: Context, p: Process, n: int, a: Any) -> Done:
    """One part."""
    item = _held(k, p, a.number, "attachment_read")
    if not 0 <= a.part < len(item.parts):
        raise Einval(f"attachment {a.number} has {len(item.parts)} parts", call="attachment_read")
    part: Part = item.parts[int(a.part)]
    return Done(msgspec.Raw(k.content(part.content, part.seq)))


def sys_attachment_drop(k: Context, p: Process, n: int, a: Any) -> Done:
    """The content stays in the journal, and is nobody's to read."""
    _held(k, p, a.number, "attachment_drop")
    return Done(None, (ev.AttachmentDropped(p.pid, a.number),))


def check_given(k: Context, p: Process, receiver: Process, numbers: Sequence[int], call: str) -> list[int]:
    """The attachments of a message.

    Raises:
        Einval: the sender does not hold one of them, or there are too many.
        Eagain: the receiver holds too many.
    """
    if len(numbers) > limits.MESSAGE_ATTACHMENTS_MAX:
        raise Einval(f"a message has at most {limits.MESSAGE_ATTACHMENTS_MAX} attachments", call=call)
    for number in numbers:
        if k.state.attachments.get(p.pid, number) is None:
            raise Einval(f"there is no attachment {number} of this process", call=call)
    _check_held(k, receiver, len(numbers), call)
    return list(dict.fromkeys(numbers))


def _held(k: Context, p: Process, number: int, call: str) -> Attached:
    item = k.state.attachments.get(p.pid, number)
    if item is None:
        raise Enoent(f"there is no attachment {number} of this process", call=call)
    return item


def _check_held(k: Context, p: Process, more: int, call: str) -> None:
    if len(k.state.attachments.held.get(p.pid, ())) + more > limits.ATTACHMENTS_MAX:
        raise Eagain(f"process {p.pid} holds {limits.ATTACHMENTS_MAX} attachments; drop some", call=call)
