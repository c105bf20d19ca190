"""What of a conversation is said anew in another: whole turns of tools or none, in pieces that one call takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

PIECE_BYTES = 1 << 20
PIECE_MESSAGES = 1_000
Message = dict[str, Any]


def select(messages: Sequence[Mapping[str, Any]], *, without_tools: bool = False) -> list[Message]:
    """The messages, without answers of tools at their beginning, whose questions were cut off: endpoints refuse those.
    With `without_tools` no tool's answer is left, nor what asked for it."""
    found: list[Message] = []
    for message in messages:
        if message["role"] == "tool" and (without_tools or not found):
            continue
        kept = dict(message)
        if without_tools and kept.pop("tool_calls", None) and not kept.get("content"):
            continue
        found.append(kept)
    return found


def pieces(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The messages, in lists that fit into a call each."""
    piece: list[Message] = []
    size_bytes = 0
    for message in messages:
        takes_bytes = len(msgspec.msgpack.encode(message))
        if piece and (size_bytes + takes_bytes > PIECE_BYTES or len(piece) == PIECE_MESSAGES):
            yield piece
            piece, size_bytes = [], 0
        piece.append(message)
        size_bytes += takes_bytes
    if piece:
        yield piece
