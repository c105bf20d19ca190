"""What is known of a model call that may be spared, or may spare others: see `model_sparing`."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.kernel.models.requests import Chat


class Given(msgspec.Struct, frozen=True):
    """An answer for those who ask the same: as its endpoint gave it, and what that took."""

    value: dict[str, Any]
    tokens: int
    cost_usd_micros: int
    kept: bytes = b""
    """The digest of it, where it was recorded as kept."""
    size_bytes: int = 0


class Asking(msgspec.Struct):
    """What is known of an open call that may be spared, or may spare others."""

    endpoint: str
    """Who is to be asked."""
    number: int
    """Of the model that was there; see `model_sparing.Book`."""
    name: bytes
    """The digest of all that its answer depends on."""
    same: bytes
    """That again, or "" where it waits for nobody and nobody for it."""
    chat: Chat
    found: Given | None = None
    """The kept answer that it gets."""
    answer: Given | None = None
    """What it was answered."""
