"""The part of the fleet file's form that says how agents are supervised."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from prytany.abi import supervision as words
from prytany.system.fleet.form_base import Form, Name

SPAN = r"^[1-9][0-9]{0,6}(ms|s|m|h|d)$"
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
Restart = Literal["permanent", "transient", "temporary"]
Span = Annotated[str, Meta(pattern=SPAN, description="a time, as `500ms`, `90s`, `5m`, `2h`, `1d`")]


def span_ms(span: str) -> int:
    """A time as the file says it, milliseconds."""
    unit = "ms" if span.endswith("ms") else span[-1]
    return int(span.removesuffix(unit)) * UNITS_MS[unit]


class Replicas(Form, frozen=True):
    """A pool: processes of one agent that share a mailbox."""

    max: Annotated[int, Meta(ge=1, le=1_000, description="members at the most")]
    min: Annotated[int, Meta(ge=1, le=1_000, description="members at the least; 1")] = 1
    target_queue: Annotated[
        int, Meta(ge=1, le=1_000, description="messages a member that may wait, before there are more members; 4")
    ] = 4
    idle: Annotated[Span, Meta(description="without a message for so long, there is one less; 30s")] = "30s"


class Group(Form, frozen=True):
    """Agents that are started in order, and supervised."""

    children: Annotated[list[Name], Meta(description="agents and other groups, in the order in which they are started")]
    strategy: Annotated[Strategy, Meta(description="who begins again with one that failed; `one_for_one`")] = (
        "one_for_one"
    )
    intensity: Annotated[
        int, Meta(ge=0, le=words.INTENSITY_MAX, description="more restarts within the period, and the group fails")
    ] = words.INTENSITY
    period: Annotated[Span, Meta(description="that period; 60s")] = "60s"
    restart: Annotated[Restart, Meta(description="of a group within another; `permanent`")] = "permanent"
