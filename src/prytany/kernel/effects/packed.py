"""A context, packed: the messages of a strand, compressed, for an agent that waits.

It is compressed and opened again in steps, with turns of others in between: a context has up to 16 MiB. What is in it
was checked when it was read from the journal, and never leaves the kernel's memory, so it is not checked again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.kernel.turn import others_first

LEVEL = 1
"""zlib's fastest: text gets a third as large, at some 50 MB a second."""
STEP_BYTES = 64 << 10
"""Between two turns of others: about a millisecond."""
_encode = msgspec.msgpack.Encoder().encode


class Link(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message, read. What it holds refers to nothing that refers back, so collections need not look at it."""

    place: tuple[int, int]
    node: bytes
    source: ev.Source
    labels: list[str]
    message: dict[str, Any]
    size: int


_decode = msgspec.msgpack.Decoder(list[Link]).decode


class Packed(msgspec.Struct, frozen=True):
    """The links of a strand of process `pid`."""

    pid: int

    parts: list[tuple[bytes, int]]
    """Each compressed, with how long it was."""
    root: tuple[bytes, list[str]]
    tip: tuple[int, int]
    """The place of its last message: by this it is found."""
    length: int

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(len(part) for part, _ in self.parts) + OVERHEAD_BYTES


OVERHEAD_BYTES = 1_800
"""What one takes beside its parts, with its entries in the tables."""


async def pack(pid: int, root: tuple[bytes, list[str]], links: Sequence[Link]) -> Packed:
    """The links of a strand, packed; at least one."""
    parts: list[tuple[bytes, int]] = []
    group: list[Link] = []
    size = 0
    for link in links:
        group.append(link)
        size += link.size
        if size >= STEP_BYTES:
            parts.append(await _squeezed(group))
            group, size = [], 0
    if group:
        parts.append(await _squeezed(group))
    return Packed(pid, parts, root, links[-1].place, len(links))


async def _squeezed(group: list[Link]) -> tuple[bytes, int]:
    whole = memoryview(_encode(group))
    squeeze = zlib.compressobj(LEVEL)
    pieces: list[bytes] = []
    for start in range(0, len(whole), STEP_BYTES):
        pieces.append(squeeze.compress(whole[start : start + STEP_BYTES]))
        await others_first()
    pieces.append(squeeze.flush())
    return b"".join(pieces), len(whole)


async def unpack(packed: Packed) -> list[Link]:
    """What was packed."""
    links: list[Link] = []
    for part, length in packed.parts:
        open_ = zlib.decompressobj()
        whole = bytearray()
        left = part
        while len(whole) < length:
            whole += open_.decompress(left, STEP_BYTES * 4)
            left = open_.unconsumed_tail
            await others_first()
        links += _decode(whole)
    return links
