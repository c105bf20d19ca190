"""`fleet check`, `fleet show`, `fleet schema`, and `run` of a fleet file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from prytany.abi.errors import Einval, Enoent
from prytany.cli.failure import advised
from prytany.cli.heeded import asked_by_nobody
from prytany.cli.may_spend import say_may_spend
from prytany.cli.run import Terms, session
from prytany.cli.text import json_line, safe
from prytany.cli.trusting import path_of, trusted
from prytany.system.fleet.bringing import bring
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.places import prepare_folders
from prytany.system.fleet.resolved import ResolvedAgent, ResolvedFleet, resolve
from prytany.system.fleet.schema import schema_text
from prytany.system.fleet.trust import remember
from prytany.system.models import name_model
from prytany.system.shard import Shard

INPUT, OUTPUT = "input", "output"
"""Folders that are handed to the entry as arguments."""
PROMPT = "prompt"
"""What a chat agent is called with."""


def check_fleet(target: Path, as_json: bool) -> None:
    """Say that it is sound, and what it holds; raises FleetError."""
    loaded = load_fleet(path_of(target))
    fleet = loaded.fleet
    facts = {"fleet": fleet.name, "path": str(loaded.path), "agents": sorted(fleet.agents), "entry": fleet.entry}
    if as_json:
        print(json_line(facts))
    else:
        print(f"{safe(str(loaded.path))} is sound: fleet {fleet.name}, agents {', '.join(sorted(fleet.agents))}")


def show_fleet(target: Path, resolved: bool, as_json: bool) -> None:
    """Print it as it is written, or as it will run."""
    path = path_of(target)
    loaded = load_fleet(path)
    if not resolved and not as_json:
        sys.stdout.write(safe(loaded.text.decode("utf-8", "replace"), lines=True))
        return
    shown = msgspec.to_builtins(resolve(loaded.fleet, path.absolute().parent, {}) if resolved else loaded.fleet)
    if as_json:
        print(json_line(shown))
        return
    import yaml

    sys.stdout.write(safe(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True), lines=True))


def show_schema(as_json: bool) -> None:
    """Print the JSON Schema of fleet files, which editors can be given."""
    text = schema_text()
    sys.stdout.write(f"{json_line(msgspec.json.decode(text))}\n" if as_json else text)


def run_fleet(
    terms: Terms, target: Path, entry: str, given: Mapping[str, Path], kwargs: dict[str, Any], *, trust: bool
) -> int:  # fmt: skip
    """Run an agent of a fleet to its end, with everything that it starts; the exit code of the command.

    Args:
        terms: how its kernel is to run.
        target: the fleet file, or a folder that holds one.
        entry: the agent; "" is what the file says.
        given: folders instead of those that the file names.
        kwargs: further arguments of the agent's program.
        trust: the operator trusts what of it is not confined, without being asked.
    """
    path = path_of(target)
    loaded = load_fleet(path)
    unknown = sorted(set(given) - set(loaded.fleet.folders))
    if unknown:
        raise advised(
            Einval(f"the fleet {loaded.fleet.name} has no folder {unknown[0]!r}"), f"name it in {path}, under `folders`"
        )
    folders = {name: os.path.abspath(place) for name, place in given.items()}
    fleet = resolve(loaded.fleet, path.absolute().parent, folders)
    agent = fleet.agents.get(entry or fleet.entry)
    if agent is None:
        there = ", ".join(fleet.agents)
        said = f"there is no agent {entry!r} in {path}" if entry else f"{path} does not say which agent is run"
        raise advised(Enoent(said), f"say it with --entry, or as `entry` in the file; there are {there}")
    kwargs = _arguments(fleet, agent, kwargs)
    digest = trusted(fleet, folders.values(), terms.home, trust, terms.as_json)
    needs_model = any(not a.model for a in fleet.agents.values())
    asked = name_model(terms.model) if needs_model else ""
    asked_by_nobody(terms.model, fleet, terms.as_json)
    prepare_folders(fleet, path.absolute(), terms.home)  # last: what is refused has made no folder

    async def start(shard: Shard) -> list[int]:
        if digest:
            remember(shard.home.path, digest)
        number = await bring(shard.kernel, shard.drivers, shard.logs, fleet, uid=os.getuid())
        start = shard.kernel.fleet_operator.start
        pid = start(
            number, agent.name, [], kwargs, uid=os.getuid(), model=asked, tags=terms.tags, budget=terms.budget
        )  # fmt: skip
        say_may_spend(shard, pid, terms.as_json)
        return [pid]

    return uvloop.run(session(terms, start, create=True, asks=needs_model))


def _arguments(fleet: ResolvedFleet, agent: ResolvedAgent, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the entry is called with: a chat agent with its prompt, text whatever it looks like. Raises Einval."""
    if agent.kind != "chat":
        return {**{name: fleet.folders[name] for name in (INPUT, OUTPUT) if name in fleet.folders}, **given}
    if PROMPT not in given:
        raise advised(
            Einval(f"{agent.name} is a chat agent, and is asked nothing"),
            'ask it with --arg prompt="…", or talk with it: prytany chat',
        )
    if others := sorted(given.keys() - {PROMPT}):
        raise advised(
            Einval(f"{agent.name} is a chat agent, and takes no argument {others[0]!r}"), 'it takes --arg prompt="…"'
        )
    prompt = given[PROMPT]
    return {PROMPT: prompt if isinstance(prompt, str) else msgspec.json.encode(prompt).decode()}
