"""Model files as small as they can be: a header of GGUF, and as many bytes of tensors as it announces."""

from __future__ import annotations

import struct


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


KEYS = [
    text("general.architecture") + struct.pack("<I", 8) + text("llama"),
    text("general.name") + struct.pack("<I", 8) + text("Tiny\x1b[2J"),
    text("llama.context_length") + struct.pack("<II", 4, 2_048),
    text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
    text("tokenizer.ggml.scores") + struct.pack("<IIQff", 9, 6, 2, 0.0, 1.0),
]
TENSOR = text("output.weight") + struct.pack("<IQQIQ", 2, 4, 8, 0, 0)
TENSOR_BYTES = 4 * 8 * 4


def gguf(*, keys: list[bytes] = KEYS, version: int = 3, tensors: int = 1, announced: int | None = None) -> bytes:
    """A file whose tensors all lie at its beginning."""
    count = len(keys) if announced is None else announced
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, count) + b"".join(keys) + TENSOR * min(tensors, 1)
    return header + b"\0" * (-len(header) % 32 + TENSOR_BYTES)
