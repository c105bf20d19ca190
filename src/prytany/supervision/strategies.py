"""What a supervisor decides of a child that has ended: whether it begins again, when, and who with it.

Source: supervisor(3), Erlang/OTP. The backoff is ours: OTP begins again at once, each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from prytany.abi import limits
from prytany.abi.supervision import Restart, Strategy
from prytany.supervision.trees import Supervisor

_MS = 1_000_000
DOUBLINGS_MAX = 20
SPREAD = 4
"""The pause is longer or shorter by a part of so many, at most."""


def wanted(restart: str, *, failed: bool) -> bool:
    """Whether a child of that kind begins again."""
    return restart == Restart.PERMANENT or (failed and restart == Restart.TRANSIENT)


def too_many(found: Supervisor, now_ns: int) -> bool:
    """Whether one restart more is more than there may be within the period."""
    since_ns = now_ns - found.period_ms * _MS
    return sum(at_ns > since_ns for at_ns in found.times) >= found.intensity


def beside(found: Supervisor, pid: int) -> list[int]:
    """The others that begin again with a child, in the order in which they were started."""
    children = list(found.children)
    if found.strategy == Strategy.ONE_FOR_ALL:
        return [child for child in children if child != pid]
    if found.strategy == Strategy.REST_FOR_ONE:
        return children[children.index(pid) + 1 :]
    return []


def lately(times: Sequence[int], now_ns: int, period_ms: int) -> int:
    """How many of these lie within the period."""
    return sum(at_ns > now_ns - period_ms * _MS for at_ns in times)


def pause_ms(before: int, seed: bytes, incarnation: int) -> int:
    """How long a process waits that begins again and has done so `before` times lately: not at all at first; then
    each time twice as long, and a little more or less, so that those who failed together do not all come back at once.

    Args:
        before: restarts lately.
        seed: the process's, which the spread is drawn from: the same whenever it is asked for.
        incarnation: the one that failed.
    """
    if before <= 0:
        return 0
    pause = min(limits.RESTART_BACKOFF_MS << min(before - 1, DOUBLINGS_MAX), limits.RESTART_BACKOFF_MS_MAX)
    drawn = int.from_bytes(blake2b(seed + incarnation.to_bytes(8, "big"), digest_size=4).digest(), "big")
    spread = pause // SPREAD
    return pause - spread + (2 * spread * drawn >> 32)
