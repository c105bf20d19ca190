"""Times of triggers: cron expressions in a time zone, and periods. Computed from the times that they are given alone.

What a change of daylight saving does to a cron expression is Debian's rule, as `cronsim` has it: a job at a time that
is skipped runs right after the skip, and one at a time that comes twice runs once, unless it is of every hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.events import TriggerSpec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; raises Einval."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Einval(f"there is no time zone {name[:100]!a}; one is named as Europe/Athens") from None


def check_cron(expression: str, zone: str = "UTC") -> None:
    """Raise Einval for what is no cron expression, or one that never comes."""
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=zone_of(zone))))
    except (CronSimError, StopIteration, OverflowError):
        raise Einval(
            f"{expression[:100]!a} is no cron expression that ever comes: minute, hour, day, month and weekday"
        ) from None


def next_ns(spec: TriggerSpec, after_ns: int) -> int:
    """The first time after that one, nanoseconds since 1970; 0 where there is none any more."""
    if spec.kind == "every":
        period_ns = spec.every_ms * 1_000_000
        return (after_ns // period_ns + 1) * period_ns
    return next(_cron(spec, after_ns, reverse=False), 0)


def passed(spec: TriggerSpec, first_ns: int, now_ns: int) -> tuple[list[int], int]:
    """The times from `first_ns` to `now_ns`, the newest `TRIGGER_MISSED_MAX` of them; and how many more there were, as
    far as that is counted."""
    if spec.kind == "every":
        period_ns = spec.every_ms * 1_000_000
        count = (now_ns - first_ns) // period_ns + 1
        kept = min(count, limits.TRIGGER_MISSED_MAX)
        last_ns = first_ns + (count - 1) * period_ns
        return [last_ns - at * period_ns for at in reversed(range(kept))], count - kept
    found: list[int] = []
    more = 0
    for at_ns in islice(_cron(spec, now_ns + 60_000_000_000, reverse=True), limits.TRIGGER_COUNTED_MAX):
        if at_ns < first_ns:
            break
        if at_ns > now_ns:
            continue
        if len(found) < limits.TRIGGER_MISSED_MAX:
            found.append(at_ns)
        else:
            more += 1
    return found[::-1] or [first_ns], more


def _cron(spec: TriggerSpec, from_ns: int, *, reverse: bool) -> Iterator[int]:
    moment = (_EPOCH + timedelta(microseconds=from_ns // 1_000)).astimezone(zone_of(spec.zone))
    try:
        for found in CronSim(spec.on[0], moment, reverse=reverse):
            yield ((found.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)) * 1_000
    except (CronSimError, OverflowError):
        return
