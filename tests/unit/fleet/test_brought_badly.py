"""A resolved fleet over the control socket: any bytes, and every field of it wrong. EINVAL, no half of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect as types

from prytany.abi import control
from prytany.abi.errors import Einval, KernelError
from prytany.abi.limits import CONTROL_REQUEST_BYTES_MAX
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.sound import unpack_fleet
from tests.surfaces.homes import open_home

SOUND: dict[str, Any] = {
    "name": "small", "folder": "/f", "entry": "one",
    "agents": {
        "one": {
            "name": "one", "kind": "chat", "about": "talks", "model": "m", "tools": ["t.buy"], "unveil": {"/f/d": "r"},
            "spawns": ["two"], "handoff": ["two"], "restarts": 1, "service": False, "tags": ["n"],
            "qos": "background", "weight": 2, "bytes_per_second": 1000,
            "restart": "transient", "shutdown": "5s", "progress_within": "5m",
            "replicas": {"max": 3, "min": 2, "target_queue": 5, "idle": "10s"},
            "budget": {"tokens": 9, "usd": 0.5, "calls": 3, "wall_s": 60.0, "processor_s": 5.0, "of": "process",
                       "per_minute": {"tokens": 9, "usd": 0.5, "calls": 3}},
            "chat": {
                "instruction": "hi", "turns": 2, "answer": {"type": "object"}, "temperature": 0.5, "max_tokens": 5,
                "skills": ["/f/s"], "read_from": "/g",
            },
        },
        "two": {"name": "two", "kind": "python", "program": "/f/m.py:main", "pledge": ["model"], "python": "/f/python",
                "mailbox": 9, "attempts": 2, "accepts": {"order": {"type": "object"}}},
    },
    "models": {
        "m": {"driver": "scripted", "file": "/f/x"},
        "e": {
            "driver": "openai", "base_url": "http://x/v1", "model": "m", "key": {"secret": "k"},
            "prices": {"input": 1.0, "output": 1.0, "cached": 0.5}, "tools": "schema",
            "limits": {"concurrency": 1, "requests_per_minute": 60, "tokens_per_minute": 100},
            "policy": "fair_share", "preempts": "undelivered",
            "spares": {"twins": True, "answers_bytes": 9, "same_at_zero": True}, "fallback": ["m"],
            "routes": [
                {"model": "m", "qos": ["utility"], "prompt_min": 1, "prompt_max": 9, "budget_below": "5%"},
                {"model": "m", "qos": "utility"},
            ],
        },
    },
    "supervise": {
        "g": {"children": ["one", "h"], "strategy": "one_for_all", "intensity": 2, "period": "5s"},
        "h": {"children": ["two"], "restart": "transient"},
    },
    "triggers": {
        "cron": {"agent": "two", "cron": "0 2 * * *", "zone": "UTC", "missed": "all", "jitter": "5m",
                 "overlap": "queue", "at_once": 2, "args": {"a": 1}},
        "every": {"agent": "two", "every": "5m"}, "asked": {"agent": "two", "message": "front"},
        "news": {"agent": "two", "topic": "news.*", "deliver": "message"},
        "files": {"agent": "two", "files": ["/f/*"], "debounce": "2s"},
    },
    "budget": {"tokens": 9, "wall_s": 60.0, "per_minute": {"calls": 3}},
    "up_budget": {"tokens": 5, "calls/min": 2},
    "secrets": {"k": {"env": "KEY"}, "l": {"file": "s"}, "c": {"credential": "c"}},
    "tools": {"t": "/f/t.py"}, "folders": {"d": "/f/d"},
    "notify": [
        {"command": ["x"], "of": ["doubt"], "env": {"A": {"secret": "k"}}},
        {"webhook": "https://x/", "headers": {"A": {"secret": "k"}}},
    ],
}  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, True, -1, 1 << 40, 1.5, float("nan"), float("inf"), "", "\x1b[2J", "a\0b", "no such", "../up", "x" * 500_000,
    b"", b"\xff", [], [None], ["no such"], {}, {"": ""}, {"no such": "x"}, {"/f": "rwx"}, {1: 2},
    {"a": {"type": "strng"}}, {"tokens": 0}, {"usd": float("nan")}, {"wall_s": float("inf")},
    {"processor_s": float("nan")},
    {"per_minute": {"usd": float("nan")}}, {"of": "tree"}, [{"model": "m"}], [{"model": "e", "qos": 0}],
    [{"model": "m", "qos": []}], [{"model": "m", "budget_below": "0%"}], ["m", "m"], ["e"], ["m"] * 10_000,
    [{"model": "m", "qos": "utility"}] * 10_000,
)  # fmt: skip


def fields(form: Any, at: tuple[str | int, ...] = (), value: Any = SOUND) -> Iterator[tuple[str | int, ...]]:
    """Every field of the form, where the sound one has it."""
    while isinstance(form, types.Metadata):
        form = form.type
    if isinstance(form, types.UnionType):
        for member in form.types:
            yield from fields(member, at, value)
    elif isinstance(form, types.StructType) and isinstance(value, dict):
        for field in form.fields:
            if field.encode_name in value:
                yield (*at, field.encode_name)
                yield from fields(field.type, (*at, field.encode_name), value[field.encode_name])
    elif isinstance(form, types.DictType) and isinstance(value, dict):
        for name in value:
            yield from fields(form.value_type, (*at, name), value[name])
    elif isinstance(form, types.ListType) and isinstance(value, list):
        for n, item in enumerate(value):
            yield from fields(form.item_type, (*at, n), item)


FIELDS = list(fields(types.type_info(ResolvedFleet)))


def packed(place: tuple[str | int, ...] = (), value: Any = None, *, gone: bool = False) -> bytes:
    """The sound one with that in that place."""
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(SOUND))
    at = copy
    for part in place[:-1]:
        at = at[part]
    if gone:
        del at[place[-1]]
    elif place:
        at[place[-1]] = value
    return msgspec.msgpack.encode(copy)


def names_of(form: Any) -> set[str]:
    """All fields that there are, below as well."""
    while isinstance(form, types.Metadata):
        form = form.type
    if isinstance(form, types.UnionType):
        return set().union(*map(names_of, form.types))
    if isinstance(form, types.StructType):
        return {f.encode_name for f in form.fields}.union(*(names_of(f.type) for f in form.fields))
    return names_of(form.value_type if isinstance(form, types.DictType) else form.item_type) if isinstance(
        form, types.DictType | types.ListType
    ) else set()  # fmt: skip


def test_the_sound_one_is_taken_and_has_every_field() -> None:
    assert unpack_fleet(packed()).name == "small"
    kept = {"marks", "leaving"}  # the kernel's own, whatever a client says
    assert names_of(types.type_info(ResolvedFleet)) - kept == {str(place[-1]) for place in FIELDS}
    assert (
        unpack_fleet(msgspec.msgpack.encode(msgspec.structs.replace(unpack_fleet(packed()), marks={"A": "b"}))).marks
        == {}
    )


@pytest.mark.parametrize("place", FIELDS, ids=lambda place: ".".join(map(str, place)))
def test_a_wrong_field_is_refused_or_harmless(place: tuple[str | int, ...]) -> None:
    refused = 0
    for value in WRONG:
        try:
            fleet = unpack_fleet(packed(place, value))
        except Einval as error:
            refused += 1
            assert len(error.message) < 1_000  # noqa: PT017 one of two outcomes
            assert error.message.isprintable()  # noqa: PT017
        else:
            assert unpack_fleet(msgspec.msgpack.encode(fleet)) == fleet
    assert refused >= len(WRONG) // 2, place


BYTES = [
    b"", b"\xc1", b"\xff" * 100, b"\xc0", b"\x93\x01\x02\x03", packed()[:-1], packed() + b"\x00", b"\x81" * 100_000,
    b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", msgspec.msgpack.encode("x" * 900_000),
    packed(("agents", "one", "chat", "answer"), {"a": None})[:-3],
    msgspec.msgpack.encode({**SOUND, "name": b"\xff"}),
    msgspec.msgpack.encode({"name": "small"}), msgspec.msgpack.encode({**SOUND, "agents": []}),
    packed(("name",), "x").replace(b"\xa1x", b"\xa1\xff"),
]  # fmt: skip


@pytest.mark.parametrize("data", BYTES, ids=lambda data: ascii(data[:12]))
def test_bytes_that_are_no_fleet_are_refused(data: bytes) -> None:
    with pytest.raises(Einval):
        unpack_fleet(data)


def _deep() -> bytes:
    answer: Any = {}
    for _ in range(400):
        answer = {"items": answer}
    return packed(("agents", "one", "chat", "answer"), answer)


def test_nothing_of_a_refused_fleet_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "f").mkdir()
    here = packed()
    bad: list[bytes] = [
        *BYTES, _deep(), here, packed(("agents", "one", "spawns"), ["nobody"]),
        packed(("agents", "one", "handoff"), ["nobody"]),
        packed(("agents", "one", "tools"), ["no"]),
        packed(("models", "e", "key", "secret"), "none"), packed(("agents", "two", "pledge"), ["no such"]),
        packed(("models", "e", "base_url"), None), packed(("agents", "one", "chat"), None),
        packed(("name",), "\x1b[2J"), packed(("secrets", "k", "env"), "${NOT}"), b"\x00" * CONTROL_REQUEST_BYTES_MAX,
    ]  # fmt: skip

    async def run() -> None:
        shard = await open_home(home)
        try:
            before = shard.kernel.ledger.journal.head.seq
            for data in bad:
                for dry_run in (False, True):
                    with_error: KernelError | None = None
                    try:
                        await shard.desk.answer(control.BringFleet(data, dry_run), 0)
                    except KernelError as error:
                        with_error = error
                    # That of which only the files are not there can be compared, and not be brought.
                    assert with_error is not None or (data is here and dry_run), data[:80]
            assert shard.kernel.ledger.journal.head.seq == before
            assert not shard.kernel.fleets.fleets
            assert (shard.drivers.models, shard.drivers.tools) == ({}, {})
        finally:
            await shard.close()

    asyncio.run(run())
    assert not list((tmp_path / "f").iterdir())
