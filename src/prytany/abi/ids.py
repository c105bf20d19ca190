"""Identifiers that cross the boundary.

A pid contains its shard, so that any kernel of a cluster knows where a process lives without asking:

    pid = shard << 40 | number        number: 1 .. 2**40 - 1, never used again within a shard

It is written `number` on shard 0 and `shard.number` elsewhere.
"""

from __future__ import annotations

from typing import NewType

Pid = NewType("Pid", int)

SHARD_BITS = 40
_NUMBER_MASK = (1 << SHARD_BITS) - 1


def pid_of(shard: int, number: int) -> Pid:
    """The pid of process `number` on `shard`; raises ValueError when either is out of its range."""
    if not 0 <= shard < 1 << 20 or not 0 < number <= _NUMBER_MASK:
        raise ValueError(f"no pid for shard {shard}, number {number}")
    return Pid(shard << SHARD_BITS | number)


def format_pid(pid: Pid) -> str:
    """How people read a pid: `7`, or `3.7` on shard 3."""
    shard = pid >> SHARD_BITS
    return f"{shard}.{pid & _NUMBER_MASK}" if shard else str(pid)


def parse_pid(text: str) -> Pid:
    """The pid that `text` names; raises ValueError when it names none."""
    shard, _, number = text.rpartition(".")
    if not number.isascii() or not number.isdigit() or (shard and not shard.isdigit()):
        raise ValueError(f"not a pid: {text!r}")
    return pid_of(int(shard or "0"), int(number))
