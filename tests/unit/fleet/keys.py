"""Every key that a fleet file can have, by its form, and a sound file in which any can be written anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import inspect as types

from prytany.system.fleet.form import Fleet

PROGRAM = """
from prytany import agent

@agent(pledge="model ipc proc")
async def main(proc): ...
"""
Key = tuple[str, ...]
"""A path from the top; `*` is a name of the author's, `0` a place in a list."""
SOUND: dict[str, Any] = {
    "version": 1,
    "name": "sound",
    "entry": "talker",
    "agents": {
        "talker": {
            "kind": "chat", "about": "talks", "instruction": "Be brief.", "instruction_from": "style.md",
            "skills": ["skills"], "turns": 3, "answer": {"type": "object"}, "temperature": 0.5, "max_tokens": 10,
            "model": "default", "tools": ["shop"], "unveil": {"docs": "r"}, "spawns": ["worker"], "restarts": 1,
            "handoff": ["worker"], "service": False, "tags": ["night"], "qos": "background", "weight": 3,
            "bytes_per_second": 1000,
            "restart": "transient", "shutdown": "10s", "progress_within": "5m",
            "replicas": {"min": 1, "max": 3, "target_queue": 5, "idle": "10s"},
            "budget": {"tokens": 1000, "usd": 0.5, "calls": 3, "wall_s": 60, "processor_s": 5, "of": "process",
                       "per_minute": {"tokens": 100, "usd": 0.1, "calls": 1}},
        },
        "worker": {"program": "main.py:main", "pledge": ["model"], "python": "python3", "mailbox": 8, "attempts": 2,
                   "accepts": {"order": {"type": "object"}}},
        "helper": {"program": "main.py:main"},
    },
    "models": {
        "default": {"driver": "scripted"},
        "far": {
            "driver": "openai", "base_url": "http://x/v1", "model": "m", "key": {"secret": "k"},
            "prices": {"input": 1, "output": 2.5, "cached": 0.5}, "tools": "schema",
            "limits": {"concurrency": 4, "requests_per_minute": 60, "tokens_per_minute": 9000}, "policy": "fair_share",
            "preempts": "undelivered", "fallback": ["near"],
            "spares": {"twins": True, "answers_bytes": 1000, "same_at_zero": True},
            "routes": [
                {"model": "near", "qos": ["background", "utility"], "prompt_min": 5, "prompt_max": 9,
                 "budget_below": "20%"},
                {"model": "default", "qos": "background"},
            ],
        },
        "near": {"driver": "scripted", "file": "script.json"},
    },
    "secrets": {"k": {"env": "KEY"}, "f": {"file": "secret"}, "c": {"credential": "c"}},
    "tools": {"shop": {"python": "tools.py"}},
    "triggers": {
        "nightly": {"agent": "worker", "cron": "0 2 * * *", "zone": "Europe/Athens", "missed": "once", "jitter": "5m",
                    "overlap": "queue", "at_once": 2, "args": {"night": True}},
        "tick": {"agent": "worker", "every": "5m"},
        "news": {"agent": "worker", "topic": "news.*", "deliver": "message"},
        "asked": {"agent": "worker", "message": "front"},
        "inbox": {"agent": "worker", "files": ["inbox/*.csv"], "debounce": "2s"},
    },
    "folders": {"docs": "docs"},
    "defaults": {"model": "default", "tools": ["shop.buy"], "unveil": {"docs": "r"}, "spawns": ["worker"],
                 "handoff": ["worker"], "restarts": 0, "tags": ["all"], "qos": "initiated", "weight": 1,
                 "bytes_per_second": 1_000_000, "mailbox": 100, "attempts": 5,
                 "restart": "permanent", "shutdown": "1s", "progress_within": "1h",
                 "budget": {"tokens": 1000, "usd": 0.5, "calls": 3, "wall_s": 60, "processor_s": 5, "of": "tree",
                            "per_minute": {"tokens": 100, "usd": 0.1, "calls": 1}}},
    "supervise": {
        "top": {"children": ["worker", "inner"], "strategy": "one_for_all", "intensity": 3, "period": "10s"},
        "inner": {"children": ["helper"], "restart": "transient"},
    },
    "bytes_per_second": 2_000_000,
    "budget": {"tokens": 100000, "usd": 5, "calls": 300, "wall_s": 3600.5, "processor_s": 600.5,
               "per_minute": {"tokens": 100, "usd": 0.1, "calls": 1}},
    "notify": [
        {"command": ["true"], "of": ["doubt"], "env": {"A": {"secret": "k"}}},
        {"webhook": "https://x/", "headers": {"X-Key": {"secret": "k"}}},
        {"webhook": {"secret": "k"}},
    ],
}  # fmt: skip
"""Has every key once at least."""


def keys(form: types.Type | None = None, above: Key = ()) -> Iterator[tuple[Key, types.Type]]:
    """Every key of the form with its type; what is below a key comes after it."""
    form = types.type_info(Fleet) if form is None else form
    while isinstance(form, types.Metadata):
        form = form.type
    if isinstance(form, types.UnionType):
        for member in form.types:
            yield from keys(member, above)
    elif isinstance(form, types.StructType):
        for field in form.fields:
            yield (*above, field.encode_name), field.type
            yield from keys(field.type, (*above, field.encode_name))
    elif isinstance(form, types.DictType):
        yield (*above, "*"), form.value_type
        yield from keys(form.value_type, (*above, "*"))
    elif isinstance(form, types.ListType):
        yield (*above, "0"), form.item_type
        yield from keys(form.item_type, (*above, "0"))


def place_of(key: Key) -> list[str | int] | None:
    """Where the sound file has it, as the first that fits; None where it has it nowhere."""

    def find(value: Any, left: Key, found: list[str | int]) -> list[str | int] | None:
        if not left:
            return found
        if left[0] == "0" and isinstance(value, list) and value:
            return next((got for n, item in enumerate(value) if (got := find(item, left[1:], [*found, n]))), None)
        if isinstance(value, dict):
            names = list(value) if left[0] == "*" else [left[0]] if left[0] in value else []
            return next((got for name in names if (got := find(value[name], left[1:], [*found, name]))), None)
        return None

    return find(SOUND, key, [])


def written(place: list[str | int], fragment: str) -> str:
    """The sound file with that written in that place, as it stands, on lines of its own."""
    mark = "\x01mark\x01"
    copy = json.loads(json.dumps(SOUND))
    at = copy
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = mark
    return json.dumps(copy, indent=1).replace(json.dumps(mark), fragment) + "\n"


def lay_out(folder: Path) -> None:
    """What the sound file names."""
    (folder / "main.py").write_text(PROGRAM)
    (folder / "tools.py").write_text("")
    (folder / "style.md").write_text("Be kind.\n")
    (folder / "script.json").write_text("[]")
    (folder / "secret").write_text("x\n")
    (folder / "python3").symlink_to(sys.executable)
    for name in ("docs", "skills"):
        (folder / name).mkdir()
