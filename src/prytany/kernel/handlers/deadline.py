"""Time limits of calls: how long becomes until when."""

from __future__ import annotations

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.kernel.outcome import Context


def deadline_ns(k: Context, timeout_ms: int, call: str) -> int:
    """When a call that waits is given up; 0 for never. Raises Einval for no such time."""
    if not 0 <= timeout_ms <= limits.TIMEOUT_MS_MAX:
        raise Einval(f"a timeout is from 0 to {limits.TIMEOUT_MS_MAX} ms", call=call)
    return k.now_ns() + timeout_ms * 1_000_000 if timeout_ms else 0
