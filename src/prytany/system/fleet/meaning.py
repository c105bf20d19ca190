"""What a well-formed fleet file can still have wrong: names of nothing, keys that do not go together, files not there.

Nothing of what it names is run or imported to find that out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from urllib.parse import urlsplit

from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.abi.limits import CHANNELS_MAX
from prytany.abi.schema_form import forms_fault, schema_fault
from prytany.abi.syscalls import PLEDGES
from prytany.kernel.outcome import Program
from prytany.runtime.environments import find_python
from prytany.system.fleet.faults import Fault, Path, Place
from prytany.system.fleet.form import Agent, Fleet, Model, Rights
from prytany.system.fleet.form_terms import AgentBudgeted, RunBudgeted
from prytany.system.fleet.form_triggers import trigger_faults
from prytany.system.fleet.notifying import command_faults, notice_faults
from prytany.system.fleet.terms_meaning import Asks, asks_of, budget_faults, model_faults, price_faults
from prytany.system.fleet.trees import replicas_faults, span_faults, tree_faults
from prytany.system.wording import meant, quoted

DEFAULT = "default"
CHAT_KEYS = ("instruction", "instruction_from", "skills", "turns", "answer", "temperature", "max_tokens")
PROGRAM_KEYS = ("program", "pledge", "python", "accepts")
ENDPOINT_KEYS = ("base_url", "model", "key")
FindProgram = Callable[[str], Program]
Found = Iterator[tuple[Path, str]]
"""Where, and what is wrong."""


def kind_of(agent: Agent) -> str:
    """`chat`, `python` or `inline`; "" where nothing says."""
    if agent.kind is not None:
        return agent.kind
    if agent.program is not None:
        return "python"
    return "chat" if agent.instruction is not None or agent.instruction_from is not None else ""


def entry_of(fleet: Fleet) -> str:
    """The agent that `run` starts; "" where it has to be named."""
    return fleet.entry or (next(iter(fleet.agents)) if len(fleet.agents) == 1 else "")


def find_faults(fleet: Fleet, folder: File, places: Mapping[Path, Place], find: FindProgram) -> list[Fault]:
    """Everything that is wrong, by the places that the values were read at.

    Args:
        fleet: as it was read.
        folder: the file's: paths are from there.
        places: of each value.
        find: looks a program up by `file.py:function`, without running it; raises KernelError.
    """
    return [Fault(_place(places, path), path, what) for path, what in _all(fleet, folder, find)]


def _place(places: Mapping[Path, Place], path: Path) -> Place:
    """Of the value, or of what it would stand in."""
    while path not in places:
        path = path[:-1]
    return places[path]


def _all(fleet: Fleet, folder: File, find: FindProgram) -> Found:
    if not fleet.agents:
        yield ("agents",), "there is none; name at least one"
    if fleet.entry is not None and fleet.entry not in fleet.agents:
        yield ("entry",), f"there is no agent {quoted(fleet.entry)}{meant(fleet.entry, fleet.agents)}"
    for name, model in fleet.models.items():
        yield from _model(fleet, model, ("models", name), folder)
        yield from model_faults(name, model, fleet.models, ("models", name))
    for name, secret in fleet.secrets.items():
        if sum(place is not None for place in (secret.env, secret.file, secret.credential)) != 1:
            yield ("secrets", name), "say where it is from: `env`, `file`, or `credential`"
    for name, tools in fleet.tools.items():
        if not os.path.isfile(folder / tools.python):
            yield ("tools", name, "python"), f"there is no file {folder / tools.python}"
    if len(fleet.notify) > CHANNELS_MAX:
        yield ("notify", CHANNELS_MAX), f"{CHANNELS_MAX} are the most"
    for at, notice in enumerate(fleet.notify):
        yield from notice_faults(notice, fleet.secrets, ("notify", at))
        yield from command_faults(notice, folder, ("notify", at))
    if len(fleet.triggers) > limits.TRIGGERS_MAX:
        yield ("triggers",), f"there are {len(fleet.triggers)}; {limits.TRIGGERS_MAX} are the most"
    for name, trigger in fleet.triggers.items():
        yield from trigger_faults(trigger, fleet.agents, ("triggers", name))
    services = [name for name, agent in fleet.agents.items() if agent.service]
    yield from tree_faults(fleet.supervise, fleet.agents, services)
    yield from _rights(fleet, fleet.defaults, ("defaults",), folder)
    for name, agent in fleet.agents.items():
        path = ("agents", name)
        yield from _rights(fleet, agent, path, folder)
        yield from _agent(agent, path, folder, find)
        yield from span_faults(agent.progress_within or "", agent.shutdown or "", path)
        yield from replicas_faults(agent.replicas, path)
    yield from _budgets(fleet)


def model_of(fleet: Fleet, agent: Agent) -> str:
    """What an agent asks: a name of the fleet's, or "" for the model of the run."""
    return agent.model or fleet.defaults.model or (DEFAULT if DEFAULT in fleet.models else "")


def _budgets(fleet: Fleet) -> Found:
    asks: dict[str, Asks] = {}
    for name, agent in fleet.agents.items():
        spawns = fleet.defaults.spawns if agent.spawns is None else agent.spawns
        handoff = fleet.defaults.handoff if agent.handoff is None else agent.handoff
        others = [*(spawns or ()), *(handoff or ())]
        asks[name] = asks_of(kind_of(agent), model_of(fleet, agent), agent.pledge, others, fleet.models)
    by_default = [name for name, agent in fleet.agents.items() if agent.budget is None]
    budgets: list[tuple[Path, RunBudgeted | AgentBudgeted | None, list[str]]] = [
        (("budget",), fleet.budget, list(asks)),
        (("defaults", "budget"), fleet.defaults.budget, by_default),
        *((("agents", name, "budget"), agent.budget, [name]) for name, agent in fleet.agents.items()),
    ]
    for path, budget, of in budgets:
        yield from budget_faults(budget, path)
        yield from price_faults(budget, of, asks, fleet.models, path)


def _model(fleet: Fleet, model: Model, path: Path, folder: File) -> Found:
    if model.prices is not None and (model.prices.cached or 0) > model.prices.input:
        yield (*path, "prices", "cached"), "it is more than `input`, of which it is a part"
    if model.driver == "openai":
        for key in ("base_url", "model"):
            if getattr(model, key) is None:
                yield path, f"{key!r} is missing; an endpoint needs it"
        if model.base_url is not None and (said := no_address(model.base_url)):
            yield (*path, "base_url"), said
    else:
        for key in ENDPOINT_KEYS:
            if getattr(model, key) is not None:
                yield (*path, key), f"a model of the driver `{model.driver}` has none; that is for `openai`"
    if model.file is not None:
        if model.driver == "openai":
            yield (*path, "file"), "a model of the driver `openai` has none; that is for `local` and `scripted`"
        elif not os.path.isfile(folder / model.file):
            yield (*path, "file"), f"there is no file {folder / model.file}"
    if model.key is not None and model.key.secret not in fleet.secrets:
        secret = model.key.secret
        yield (*path, "key", "secret"), f"there is no secret {quoted(secret)}{meant(secret, fleet.secrets)}"


def no_address(text: str) -> str:
    """What is wrong with an address; "" for nothing."""
    if not text.startswith(("https://", "http://")):
        return f"{quoted(text)} has to begin with https:// or http://"
    none = f"{quoted(text)} names no host, or no port that there is: https://HOST/v1, or http://HOST:8000/v1"
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return none
    if not named or any(c.isspace() for c in text):
        return none
    if parts.username is not None or parts.password is not None:
        return "a name or a password in an address is shown to everybody; name a key under `secrets`"
    return ""


def _rights(fleet: Fleet, rights: Rights, path: Path, folder: File) -> Found:
    if rights.model is not None and rights.model not in fleet.models:
        yield (*path, "model"), f"there is no model {quoted(rights.model)}{meant(rights.model, fleet.models)}"
    for at, tool in enumerate(rights.tools or ()):
        file, dot, name = tool.partition(".")
        if dot and not name.isidentifier():
            yield (*path, "tools", at), f"{quoted(tool)} has to be a name of `tools`, or FILE.TOOL"
        elif file not in fleet.tools:
            yield (*path, "tools", at), f"there are no tools {quoted(file)}{meant(file, fleet.tools)}"
    for place in rights.unveil or ():
        if place not in fleet.folders and not os.path.exists(folder / place):
            yield (*path, "unveil", place), f"there is no folder {folder / place}, and none of that name in `folders`"
    if len(set(rights.tags or ())) > limits.TAGS_MAX:
        yield (*path, "tags"), f"there are {len(set(rights.tags or ()))}; {limits.TAGS_MAX} are the most"
    for key, names in (("spawns", rights.spawns), ("handoff", rights.handoff)):
        for at, name in enumerate(names or ()):
            if name not in fleet.agents:
                yield (*path, key, at), f"there is no agent {quoted(name)}{meant(name, fleet.agents)}"


def _agent(agent: Agent, path: Path, folder: File, find: FindProgram) -> Found:
    kind = kind_of(agent)
    if not kind:
        yield path, "say what it is: `instruction` for a chat agent, `program` for a Python one"
        return
    foreign, what = (PROGRAM_KEYS, "a chat agent") if kind == "chat" else (CHAT_KEYS, f"an agent of kind `{kind}`")
    for key in foreign:
        if getattr(agent, key) is not None:
            yield (*path, key), f"{what} has none"
    if kind == "chat":
        yield from _chat(agent, path, folder)
        return
    for at, name in enumerate(agent.pledge or ()):
        if name not in PLEDGES:
            yield (*path, "pledge", at), f"there is no pledge {quoted(name)}{meant(name, PLEDGES)}"
    if agent.program is None:
        yield path, "'program' is missing: `file.py:function`"
        return
    if agent.python is not None:
        try:
            find_python(str(folder / agent.python))
        except (KernelError, OSError) as error:
            yield (*path, "python"), error.message if isinstance(error, KernelError) else str(error.strerror)
    if (declared := _declared(agent.program, folder, find)) and isinstance(declared, str):
        yield (*path, "program"), declared
    if agent.accepts is not None and (said := forms_fault(agent.accepts))[1]:
        yield (*path, "accepts", *said[0]), said[1]
    if agent.spawns and "proc" not in (declared if agent.pledge is None else agent.pledge):
        yield (*path, "spawns"), "it starts others, so it has to pledge `proc`"


def _declared(program: str, folder: File, find: FindProgram) -> tuple[str, ...] | str:
    """What a program pledges of itself; or what is wrong with it."""
    place, colon, name = program.rpartition(":")
    if not colon or not place:
        return f"{quoted(program)} has to be `file.py:function`"
    try:
        return find(f"{folder / place}:{name}").pledge
    except KernelError as error:
        return error.message


def _chat(agent: Agent, path: Path, folder: File) -> Found:
    if agent.instruction is None and agent.instruction_from is None:
        yield path, "'instruction' is missing; a chat agent needs it"
    if agent.instruction_from is not None and instruction_file(folder / agent.instruction_from) is None:
        yield (
            (*path, "instruction_from"),
            f"{folder / agent.instruction_from} is no file, nor a folder with an AGENTS.md",
        )
    if agent.answer is not None:
        at_key, what = schema_fault(agent.answer)
        if what:
            yield (*path, "answer", *at_key), what
    for at, place in enumerate(agent.skills or ()):
        if not os.path.isdir(folder / place):
            yield (*path, "skills", at), f"there is no folder {folder / place}"


def instruction_file(place: File) -> File | None:
    """The file that an instruction is read from: itself, or the AGENTS.md in a folder; None where there is none."""
    found = place / "AGENTS.md" if os.path.isdir(place) else place
    return found if os.path.isfile(found) else None
