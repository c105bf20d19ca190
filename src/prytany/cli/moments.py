"""Moments and lengths of time, as people write them."""

from __future__ import annotations

import re
from datetime import datetime

from prytany.abi.errors import Einval
from prytany.cli.failure import advised

_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|s|m|min|h|d|w)", re.ASCII)
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_ns(text: str, now_ns: int) -> int:
    """The time that is meant by `10m` (so long ago) or `2026-05-03T10:00` (here, unless it says where); in nanoseconds
    since 1970. Raises Einval."""
    if length := _LENGTH.fullmatch(text.strip()):
        return max(0, now_ns - int(float(length[1]) * _UNITS_S[length[2]] * 1e9))
    try:
        return max(0, int(datetime.fromisoformat(text.strip()).timestamp() * 1e9))
    except (ValueError, OverflowError, OSError):
        raise advised(
            Einval(f"{text[:100]!r} is neither a time nor a length of time"),
            "write how long ago, as in 30s, 10m, 2h or 7d, or when, as in 2026-05-03 or 2026-05-03T10:00",
        ) from None


def length_ms(text: str) -> int | None:
    """A length of time in ms: `90s`, `10m`, `2h`; None for what is none."""
    length = _LENGTH.fullmatch(text.strip())
    return int(float(length[1]) * _UNITS_S[length[2]] * 1000) if length else None
