"""What can go wrong at an HTTP endpoint, as a `ModelFailure` with a kind.

It decides from status codes, error codes and exception classes only. It must not retry, and it must not let a key
through: a message about a refused key is ours, because providers quote the key in theirs.

Source: OpenAI's error codes; RFC 9110 section 10.2.3 (Retry-After); pyreqwest's exceptions, each provoked and read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from prytany.ports.model import ModelFailure

MESSAGE_CHARS_MAX = 500
HOST_CHARS_MAX = 260
_OS_ERROR = re.compile(r" \(os error \d+\)$")
RETRY_AFTER_MS_MAX = 24 * 3_600_000  # a longer wait is a mistake of the endpoint
NO_FUNDS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
NO_MODEL_CODES = frozenset({"model_not_found", "model_not_available"})
TOO_LONG_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "exceed_context_size_error"})
RETRYABLE = frozenset({"unreachable", "timeout", "rate_limited", "overloaded", "garbage", "interrupted", "crashed"})


def utc_now() -> datetime:
    """The wall clock, which only a Retry-After in the form of a date needs."""
    return datetime.now(UTC)


def failure(kind: str, message: str, *, retry_after_ms: int | None = None) -> ModelFailure:
    """A ModelFailure whose `retryable` follows from its kind and whose message is bounded."""
    return ModelFailure(kind, message[:MESSAGE_CHARS_MAX], retryable=kind in RETRYABLE, retry_after_ms=retry_after_ms)


def parse_retry_after_ms(header: Callable[[str], str | None], now: Callable[[], datetime] = utc_now) -> int | None:
    """How long the headers ask to be left alone: milliseconds first, then seconds, then a date; None if unsaid."""
    for name, unit_ms in (("retry-after-ms", 1.0), ("x-ratelimit-reset-after-ms", 1.0), ("retry-after", 1_000.0)):
        value = header(name)
        if value is None:
            continue
        try:
            wait_ms = float(value) * unit_ms
        except ValueError:
            try:
                date = parsedate_to_datetime(value)
            except (ValueError, OverflowError):  # the latter of numbers without measure
                continue
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            wait_ms = (date - now()).total_seconds() * 1_000
        if math.isfinite(wait_ms):
            return max(0, min(math.ceil(wait_ms), RETRY_AFTER_MS_MAX))
    return None


def read_error(body: bytes) -> tuple[str, frozenset[str]]:
    """The message and the codes of an error body; empty ones where it is not JSON of the usual form."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return "", frozenset()
    return read_error_object(decoded)


def read_error_object(decoded: Any) -> tuple[str, frozenset[str]]:
    """As `read_error`, of what is already decoded: {"error": {...}}, {"error": "..."} or the inner object alone."""
    error: Any = cast("dict[str, Any]", decoded).get("error", decoded) if isinstance(decoded, dict) else decoded
    if not isinstance(error, dict):
        return (error if isinstance(error, str) else ""), frozenset()
    fields = cast("dict[str, Any]", error)
    codes = frozenset(str(fields[name]) for name in ("code", "type") if fields.get(name) is not None)
    return str(fields.get("message") or ""), codes


def kind_of(status: int, codes: frozenset[str], message: str = "") -> str:
    """The kind of a refusal.

    Quota is looked at before the status, since OpenAI says `insufficient_quota` with the 429 of a rate limit, and a
    retry would then never help.
    """
    if status == 402 or codes & NO_FUNDS_CODES:
        return "no_funds"
    if status in (401, 403):
        return "bad_key"
    if status == 429 or "rate_limit_exceeded" in codes:
        return "rate_limited"
    if status == 413 or codes & TOO_LONG_CODES or (status == 400 and "maximum context length" in message):
        return "too_long"
    if status == 404 or codes & NO_MODEL_CODES:
        return "no_model"
    if status in (408, 504):
        return "timeout"
    if status >= 500 or status in (409, 425):
        return "overloaded"
    return "bad_request"


def from_status(status: int, header: Callable[[str], str | None], body: bytes) -> ModelFailure:
    """The failure that an answer with an error status stands for."""
    message, codes = read_error(body)
    kind = kind_of(status, codes, message)
    if kind == "bad_key":
        message = "the endpoint refused the key"
    if 300 <= status < 400:
        message = "the endpoint's address leads elsewhere, which is not followed"
    wait_ms = parse_retry_after_ms(header) if kind in ("rate_limited", "overloaded") else None
    return failure(kind, f"HTTP {status}: {message}" if message else f"HTTP {status}", retry_after_ms=wait_ms)


def host_of(address: str) -> str:
    """The host and the port of an address, and nothing else of it: a name or a key may stand there too."""
    try:
        return urlsplit(address).netloc.rpartition("@")[2][:HOST_CHARS_MAX]
    except ValueError:
        return ""


def from_exception(error: Exception, host: str = "") -> ModelFailure:
    """The failure that an exception of pyreqwest stands for; its own text is left out, as it may quote the URL.

    Args:
        error: what was raised.
        host: what was asked, where that may be said.
    """
    from pyreqwest import exceptions

    name = type(error).__name__
    if isinstance(error, exceptions.RequestTimeoutError | TimeoutError):
        return failure("timeout", f"no answer in time ({name})")
    if isinstance(error, exceptions.BodyDecodeError | exceptions.ReadError | exceptions.WriteError):
        return failure("interrupted", f"the connection ended within the answer ({name})")
    if isinstance(error, exceptions.NetworkError):
        causes = [cause["message"] for cause in error.details["causes"] or []]
        # The same class says "nobody listens" and "closed after the request was sent"; only the cause tells.
        if "client error (SendRequest)" in causes:
            return failure("interrupted", "the connection ended before the answer")
        why = _OS_ERROR.sub("", causes[-1]) if causes else name
        return failure("unreachable", f"no connection to {host or 'the endpoint'}: {why}")
    if isinstance(error, exceptions.DecodeError):
        return failure("garbage", f"what answers is not HTTP ({name})")
    if isinstance(error, exceptions.BuilderError | ValueError):
        return failure("bad_request", f"the request cannot be sent ({name})")
    return failure("interrupted", f"the request was given up ({name})")
