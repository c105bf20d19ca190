"""Attachments: content that messages carry by a reference; see `Process.attach`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from prytany.userland.calls import Calls

PART_BYTES = 3 << 20
"""Put or read by one call."""
REFERENCE = "$attachment"
"""What a reference is known by."""


class Attachment(dict[str, Any]):
    """One that this process put, or was sent. It is its own reference: a field of a message, plain data."""

    def __init__(self, calls: Calls, reference: Mapping[str, Any]) -> None:
        super().__init__(reference)
        self._calls = calls
        self.number: int = reference[REFERENCE]
        self.media_type: str = reference.get("media_type", "")
        self.size_bytes: int = reference.get("bytes", 0)

    async def read(self) -> bytes:
        """All of it. Raises Enoent where this process does not hold it."""
        parts = max(1, -(-self.size_bytes // PART_BYTES))
        return b"".join([await self._calls.attachment_read(self.number, part) for part in range(parts)])

    async def image(self) -> dict[str, Any]:
        """It, as a part of what a model is asked. Raises as `read`."""
        return {"type": "image", "media_type": self.media_type, "data": await self.read()}

    async def drop(self) -> None:
        """Hold it no more. Raises Enoent where this process does not."""
        await self._calls.attachment_drop(self.number)


async def put(calls: Calls, content: bytes, media_type: str) -> Attachment:
    """Put content, part by part."""
    number = await calls.attachment_put(content[:PART_BYTES], media_type)
    for at in range(PART_BYTES, len(content), PART_BYTES):
        await calls.attachment_put(content[at : at + PART_BYTES], media_type, number)
    return Attachment(calls, {REFERENCE: number, "media_type": media_type, "bytes": len(content)})


def carried(fields: Mapping[str, Any]) -> list[int]:
    """The attachments among the fields of a message, and in lists of them."""
    found: list[int] = []
    for value in fields.values():
        if isinstance(value, Attachment):
            found.append(value.number)
        elif isinstance(value, list | tuple):
            found += [item.number for item in cast("Sequence[Any]", value) if isinstance(item, Attachment)]
    return found
