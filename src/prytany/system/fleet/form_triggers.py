"""Triggers, as a fleet file has them: what starts an agent by itself."""

# ruff: noqa: RUF012 - structs do not share their defaults
from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.topics import check_pattern
from prytany.kernel.cron import check_cron, zone_of
from prytany.system.fleet.faults import Path
from prytany.system.fleet.form_base import NAME, Form, Name
from prytany.system.fleet.form_trees import SPAN, Span, span_ms

EVERY_MS_MIN = 1_000
ARGS_BYTES_MAX = 64 << 10
KINDS = ("topic", "cron", "every", "message", "files")


class Trigger(Form, frozen=True):
    """What starts an agent, or is sent to the one that lives: one of `topic`, `cron`, `every`, `message`, `files`."""

    agent: Annotated[Name, Meta(description="one of `agents`")]
    topic: (
        Annotated[str, Meta(max_length=limits.NAME_BYTES_MAX, description="events of that topic, or pattern of topics")]
        | None
    ) = None
    cron: (
        Annotated[str, Meta(max_length=200, description="minute, hour, day, month, weekday: `0 9 * * mon-fri`")] | None
    ) = None
    zone: (
        Annotated[str, Meta(max_length=64, description="the time zone of `cron`; UTC, where nothing is said")] | None
    ) = None
    every: Annotated[Span, Meta(description="at least a second")] | None = None
    message: Annotated[Name, Meta(description="an address: a message to it, where nobody is called so")] | None = None
    files: (
        Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=1_024)]],
            Meta(
                min_length=1, max_length=16, description="files that change, from the fleet file's folder; `*` and `**`"
            ),
        ]
        | None
    ) = None
    debounce: Annotated[Span, Meta(description="of `files`: none has changed for so long; 500ms")] | None = None
    deliver: (
        Annotated[
            Literal["start", "message"],
            Meta(
                description="start it anew (the default), or send to the one that lives; one is started where none does"
            ),
        ]
        | None
    ) = None
    args: Annotated[
        dict[str, Any],
        Meta(description="arguments of the agent; `<topic>`, `<body.x>`, `<path>`, `<time>` are filled in"),
    ] = {}
    at_once: (
        Annotated[int, Meta(ge=1, le=limits.TRIGGER_RUNNING_MAX, description="how many that it started live at once")]
        | None
    ) = None
    overlap: (
        Annotated[
            Literal["skip", "queue", "allow"],
            Meta(description="what is done where so many live: nothing (the default), wait, or start one more"),
        ]
        | None
    ) = None
    missed: (
        Annotated[
            Literal["skip", "once", "all"],
            Meta(description="of times that passed while no kernel ran: none, one for all (the default), or each"),
        ]
        | None
    ) = None
    jitter: Annotated[Span, Meta(description="of times: up to so much later, by chance")] | None = None


def length_ms(text: str | None, default: int = 0) -> int:
    """A length of time that was read, in ms."""
    return default if text is None else span_ms(text)


def kind_of(trigger: Trigger) -> str:
    """Which of the five it is."""
    return next(kind for kind in KINDS if getattr(trigger, kind) is not None)


def trigger_faults(trigger: Trigger, agents: dict[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with a trigger, wherever it is looked at."""
    named = [kind for kind in KINDS if getattr(trigger, kind) is not None]
    if len(named) != 1:
        yield path, f"say what it waits for: one of {', '.join(f'`{kind}`' for kind in KINDS)}"
        return
    kind = named[0]
    if trigger.agent not in agents:
        yield (*path, "agent"), f"there is no agent {trigger.agent!r}"
    timed = kind in ("cron", "every")
    for key, is_for, what in (
        ("zone", kind == "cron", "`cron`"), ("debounce", kind == "files", "`files`"),
        ("missed", timed, "`cron` and `every`"), ("jitter", timed, "`cron` and `every`"),
        ("overlap", kind != "message" and trigger.deliver != "message", "what starts agents anew"),
        ("at_once", kind != "message" and trigger.deliver != "message", "what starts agents anew"),
        ("deliver", kind != "message", "what is no message itself"),
        ("args", kind != "message", "what is no message itself"),
    ):  # fmt: skip
        if getattr(trigger, key) and not is_for:
            yield (*path, key), f"it is for {what}"
    key = kind
    try:
        if trigger.topic is not None:
            check_pattern(trigger.topic)
        if trigger.cron is not None:
            check_cron(trigger.cron)
            key = "zone"
            zone_of(trigger.zone or "UTC")
    except Einval as error:
        yield (*path, key), error.message
    for key in ("every", "debounce", "jitter"):
        text = getattr(trigger, key)
        if text is not None and not re.fullmatch(SPAN, text):
            yield (*path, key), "it is no length of time: `30s`, `5m`"
            return
    if trigger.every is not None and not EVERY_MS_MIN <= length_ms(trigger.every) <= limits.TIMEOUT_MS_MAX:
        yield (*path, "every"), "it is from a second to ten years"
    if trigger.message is not None and not re.fullmatch(NAME, trigger.message):
        yield (*path, "message"), "it is no name"
    if not _plain(trigger.args) or len(msgspec.msgpack.encode(trigger.args)) > ARGS_BYTES_MAX:
        yield (*path, "args"), f"it has a number that is none, or more than {ARGS_BYTES_MAX} bytes"
    for at, pattern in enumerate(trigger.files or ()):
        if "\0" in pattern:
            yield (*path, "files", at), "it holds a zero character"


def _plain(value: Any) -> bool:
    """Whether all numbers in it are some."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_plain(item) for item in value.values())  # pyright: ignore[reportUnknownVariableType]
    return not isinstance(value, list) or all(_plain(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
