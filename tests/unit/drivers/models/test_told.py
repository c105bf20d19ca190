"""What endpoints say of their limits in headers: as it is meant where it can be, and else not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prytany.drivers.models.failures import parse_retry_after_ms
from prytany.drivers.models.told import RESET_NS_MAX, read_told
from prytany.ports.model import Allowance, Told

SECOND_NS = 10**9
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def read(headers: dict[str, Any]) -> Told | None:
    def values(name: str) -> list[str]:
        value = headers.get(name, [])
        return value if isinstance(value, list) else [value]

    return read_told(values, lambda: NOW)


def test_what_openai_says_is_read() -> None:
    said = read({
        "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s",
    })  # fmt: skip
    assert said == Told(Allowance(60, 59, SECOND_NS), Allowance(150_000, 0, 360 * SECOND_NS))


def test_what_anthropic_says_is_read() -> None:
    said = read({
        "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-03-01T12:00:30Z",
    })  # fmt: skip
    assert said == Told(Allowance(50, 0, 30 * SECOND_NS))


@pytest.mark.parametrize(
    ("text", "until_ns"),
    [
        ("20ms", 20_000_000), ("1s", SECOND_NS), ("6m0s", 360 * SECOND_NS), ("1h2m3.5s", 3_723_500_000_000),
        ("7m12.345s", 432_345_000_000), ("59.70s", 59_700_000_000), ("12", 12 * SECOND_NS), ("0.5", SECOND_NS // 2),
        ("250us", 250_000), ("2026-03-01T12:00:01.5+00:00", 1_500_000_000), ("2026-03-01T12:00:02", 2 * SECOND_NS),
        ("2026-03-01T14:00:01+02:00", SECOND_NS), ("0s", 0), ("", 0), ("-5s", 0), ("nan", 0), ("inf", 0), ("1e9", 0),
        ("soon", 0), ("9" * 12 + "h", 0), ("2026-03-01T11:59:59Z", 0), ("9999-12-31T23:59:59Z", 0), ("٣s", 0),
        ("0001-01-01T00:00:00+23:59", 0), ("1s" * 40, 0), ("1 s", 0), ("s", 0), ("1.s", 0),
    ],
)  # fmt: skip
def test_a_time_is_read_in_all_its_forms_and_what_is_none_is_left_out(text: str, until_ns: int) -> None:
    said = read({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text})
    assert said == Told(tokens=Allowance(0, 0, until_ns))


@pytest.mark.parametrize(
    "value", ["", "-1", "NaN", "inf", "1.5", "1e6", "60, 60", "0x10", "٣", "9" * 13, ["60", "60"], ["1", "2"], []]
)  # fmt: skip
def test_a_number_that_is_none_or_comes_twice_says_nothing(value: Any) -> None:
    assert read({"x-ratelimit-limit-requests": value, "anthropic-ratelimit-tokens-remaining": value}) is None


def test_no_headers_say_nothing() -> None:
    assert read({}) is None
    assert read({"x-ratelimit-reset-tokens": "1s"}) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_is_an_error(number: str, time: str) -> None:
    said = read({"x-ratelimit-limit-tokens": number, "x-ratelimit-reset-tokens": time})
    assert said is None or (said.tokens is not None and 0 <= said.tokens.reset_ns <= RESET_NS_MAX)


@pytest.mark.parametrize(
    ("headers", "after_ms"),
    [
        ({"retry-after": "2"}, 2_000), ({"retry-after-ms": "150", "retry-after": "9"}, 150),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:05 GMT"}, 5_000), ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None), ({"retry-after": "whenever"}, None), ({"retry-after": "1e300"}, 86_400_000),
        ({"retry-after": "Sun, 01 Mar 99999 12:00:05 GMT"}, None), ({}, None),
        ({"retry-after": f"Sun, 01 Mar {'9' * 20} 12:00:05 GMT"}, None),
        ({"retry-after": f"Sun, {'9' * 30} Mar 2026 12:00:05 GMT"}, None),
        ({"retry-after": f"Sun, 01 Mar 2026 12:00:05 +{'9' * 30}"}, None),
        ({"retry-after": f"Sun, 01 Mar 2026 {'9' * 30}:00:05 GMT", "retry-after-ms": "x"}, None),
    ],
)  # fmt: skip
def test_how_long_to_leave_it_alone_is_read_in_all_its_forms(headers: dict[str, str], after_ms: int | None) -> None:
    assert parse_retry_after_ms(headers.get, lambda: NOW + timedelta()) == after_ms
