"""Events of attachments."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class AttachmentPut(msgspec.Struct, array_like=True, frozen=True, tag="attachment.put/1"):
    """Process `pid` put an attachment, or a further part of one: `size_bytes` of content, packed."""

    pid: int
    number: int
    media_type: str
    content: Digest
    size_bytes: int


class AttachmentsGiven(msgspec.Struct, array_like=True, frozen=True, tag="attachment.given/1"):
    """Process `pid` is sent a message with these, and holds them from here on."""

    pid: int
    numbers: list[int]


class AttachmentDropped(msgspec.Struct, array_like=True, frozen=True, tag="attachment.dropped/1"):
    """Process `pid` does not hold it any more."""

    pid: int
    number: int
