"""What an endpoint says in headers of what it allows: limits, what is left of them, and when they begin anew.

What cannot be meant is left out: a number that is none, below zero or beyond all measure, a header that comes twice, a
time that is past or none. Nothing here is an error: an answer is worth more than what is said beside it.

Source: OpenAI's guide to rate limits (durations as `1s`, `6m0s`, `20ms`); Anthropic's API reference (times: RFC 3339).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Self

from prytany.drivers.models.failures import utc_now
from prytany.ports.model import Allowance, Told

NUMBER_DIGITS_MAX = 12
TEXT_CHARS_MAX = 64
RESET_NS_MAX = 24 * 3_600 * 1_000_000_000
_UNITS_NS = {"d": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ms|us|ns|d|h|m|s))+", re.ASCII)
_PART = re.compile(r"([0-9]+)(?:\.([0-9]+))?(ms|us|ns|d|h|m|s)", re.ASCII)
_NUMBER = re.compile(rf"[0-9]{{1,{NUMBER_DIGITS_MAX}}}", re.ASCII)
_SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,12}))?", re.ASCII)

Header = Callable[[str], Sequence[str]]
"""All values of a header, by its name in small letters."""


class _Names(NamedTuple):
    """The headers that speak of one quantity."""

    limit: tuple[str, str]
    left: tuple[str, str]
    reset: tuple[str, str]

    @classmethod
    def of(cls, quantity: str) -> Self:
        """As OpenAI names them, and as Anthropic does."""
        said = ("limit", "remaining", "reset")
        return cls(*((f"x-ratelimit-{what}-{quantity}", f"anthropic-ratelimit-{quantity}-{what}") for what in said))


REQUESTS, TOKENS = _Names.of("requests"), _Names.of("tokens")


def read_told(header: Header, now: Callable[[], datetime] = utc_now) -> Told | None:
    """What the headers of an answer, or of a refusal, say; None where they say nothing that can be believed."""
    requests, tokens = _allowance(header, REQUESTS, now), _allowance(header, TOKENS, now)
    return None if requests is None and tokens is None else Told(requests, tokens)


def _allowance(header: Header, names: _Names, now: Callable[[], datetime]) -> Allowance | None:
    limit_text, left_text = _one(header, names.limit), _one(header, names.left)
    if not limit_text and not left_text:  # as most endpoints do, at each of their answers
        return None
    limit, left = _number(limit_text), _number(left_text)
    if limit is None and left is None:
        return None
    return Allowance(limit or 0, -1 if left is None else left, _until_ns(_one(header, names.reset), now))


def _one(header: Header, names: tuple[str, str]) -> str:
    """The value of the first of those headers that is there; "" where it comes twice."""
    for name in names:
        if values := header(name):
            return values[0].strip() if len(values) == 1 and len(values[0]) <= TEXT_CHARS_MAX else ""
    return ""


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _until_ns(text: str, now: Callable[[], datetime]) -> int:
    """How long until then: a duration, seconds, or a time; 0 where it is none of these."""
    if not text:
        return 0
    if _DURATION.fullmatch(text):
        until_ns = sum(_scaled(whole, part, _UNITS_NS[unit]) for whole, part, unit in _PART.findall(text))
    elif seconds := _SECONDS.fullmatch(text):
        until_ns = _scaled(seconds[1], seconds[2] or "", 10**9)
    else:
        try:
            at = datetime.fromisoformat(text)
            since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now()
        except (ValueError, OverflowError):
            return 0
        until_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
    return until_ns if 0 < until_ns <= RESET_NS_MAX else 0


def _scaled(whole: str, part: str, unit_ns: int) -> int:
    """`whole.part` units."""
    return int(whole) * unit_ns + (int(part) * unit_ns // 10 ** len(part) if part else 0)
