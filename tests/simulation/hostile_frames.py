"""Bytes that a hostile peer sends, drawn from a seed: frames of any call with any arguments, frames that were changed
on their way, and bytes that are none.
"""

from __future__ import annotations

import math
from random import Random  # noqa: TID251 seeded
from typing import Any

import msgspec

from prytany.abi.syscalls import SYSCALLS, TABLE, Syscall

NUMBERS = (0, 1, 2, 3, 7, -1, -9, 255, 1 << 31, (1 << 63) - 1, -(1 << 63), 1 << 63, (1 << 64) - 1)
TEXTS = ("", "x", "honest", "hostile", "user", "\x00", "\u202e", "a" * 300, "é" * 70_000, "../" * 50, "0", "-1", ":x")
KEYS = ("role", "content", "text", "max_tokens", "temperature", "schema", "tools", "stop", "", "type", "name", "n")
_pack = msgspec.msgpack.encode


def value(rng: Random, depth: int = 3) -> Any:
    """Anything that msgpack has."""
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice([None, True, False, math.nan, math.inf, 0.5, 1e300])
    if kind == 3:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
    if kind == 4:
        return rng.randbytes(rng.choice([0, 1, 5_000]))
    if kind == 5:
        return [{"role": "user", "content": rng.choice(TEXTS)}]
    if kind == 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def argument(rng: Random, kind: str) -> Any:
    """What fits the type, mostly."""
    if rng.random() < 0.06:
        return value(rng)
    if "None" in kind and rng.random() < 0.5:
        return None
    if kind == "int":
        return rng.choice(NUMBERS) if rng.random() < 0.3 else rng.choice((0, 0, 1, 1, 2, 3, 9, 15, 200))
    if kind == "str":
        return rng.choice(TEXTS) if rng.random() < 0.4 else rng.choice(("", "hostile", "user", "operator"))
    if kind.startswith("dict") and rng.random() < 0.5:
        return {}
    if kind.startswith("bytes"):
        return rng.randbytes(rng.choice([0, 1, 3_000]))
    if kind.startswith("list[str]"):
        return [rng.choice((*("proc", "ipc", "model") * 5, *TEXTS)) for _ in range(rng.randrange(3))]
    if kind.startswith("list[dict"):
        return [value(rng) if rng.random() < 0.2 else message(rng) for _ in range(rng.randrange(1, 3))]
    if kind.startswith("list"):
        return [value(rng) for _ in range(rng.randrange(3))]
    if kind.startswith("dict"):
        return {rng.choice(KEYS): value(rng) for _ in range(rng.randrange(3))}
    return value(rng)


def message(rng: Random) -> dict[str, Any]:
    """One of a conversation, more or less."""
    return {"role": rng.choice(["user", "user", "system", "assistant", "tool", "?"]), "content": rng.choice(TEXTS)}


def nested(rng: Random) -> bytes:
    """Packed values in each other, near what can be read and beyond it."""
    depth: int = rng.choice([100, 900, *range(930, 1_000, 7), 2_000, 50_000])
    return (b"\x91" if rng.random() < 0.5 else b"\x81\xa1k") * depth + b"\xc0"


def call(rng: Random, n: int) -> bytes:
    """A packed call."""
    spec: Syscall = rng.choice(SYSCALLS)
    if spec.name in ("process_exit", "process_exec") and rng.random() < 0.9:
        spec = TABLE["process_spawn"]  # what ends it comes rarely
    name: Any = spec.name if rng.random() < 0.995 else value(rng)
    arguments = [_pack(argument(rng, a.type)) for a in spec.arguments]
    if arguments and rng.random() < 0.03:
        arguments[rng.randrange(len(arguments))] = nested(rng)
    if rng.random() < 0.1:
        arguments = arguments[: rng.randrange(len(arguments) + 1)]
    if rng.random() < 0.05:
        arguments.append(_pack(value(rng)))
    if rng.random() < 0.003:
        n = rng.choice(NUMBERS)
    return b"\x93" + _pack(n) + _pack(name) + bytes((0x90 | len(arguments),)) + b"".join(arguments)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


def changed(rng: Random, data: bytes) -> bytes:
    """The bytes with some of them flipped, cut out or doubled."""
    other = bytearray(data)
    for _ in range(rng.choice([1, 1, 3])):
        if not other:
            break
        at = rng.randrange(len(other))
        match rng.randrange(3):
            case 0:
                other[at] = rng.randrange(256)
            case 1:
                del other[at : at + rng.randrange(8)]
            case _:
                other[at:at] = other[at : at + rng.randrange(8)]
    return bytes(other)


def garbage(rng: Random) -> bytes:
    """Bytes of no form; sometimes with a length in front that fits, or one that nobody may send."""
    data = rng.randbytes(rng.choice([1, 3, 4, 40, 3_000]))
    return rng.choice([data, framed(data), b"\xff\xff\xff\xff" + data, b"\x00\x00\x00\x00" + data])
