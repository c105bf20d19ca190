"""A resolved fleet that comes over the control socket: what a fleet file cannot say is refused here.

Whoever may use the socket may steer everything, so this is no wall: it keeps a client of another version, or one that
is broken, from leaving half a fleet behind, or one that fails at its first agent.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.qos import QOS, WEIGHT_MAX
from prytany.abi.schema_form import forms_fault, schema_fault
from prytany.abi.supervision import INTENSITY_MAX, Restart, Strategy
from prytany.abi.syscalls import PLEDGES
from prytany.abi.wire import UNREADABLE
from prytany.system.fleet.faults import show_path
from prytany.system.fleet.form import Model
from prytany.system.fleet.form_base import NAME
from prytany.system.fleet.form_terms import AgentBudgeted, RunBudget, RunBudgeted
from prytany.system.fleet.form_trees import SPAN
from prytany.system.fleet.form_triggers import trigger_faults
from prytany.system.fleet.meaning import ENDPOINT_KEYS, no_address
from prytany.system.fleet.notifying import notice_faults
from prytany.system.fleet.resolved import Chat, ResolvedAgent, ResolvedFleet
from prytany.system.fleet.said_budget import in_money, said_faults
from prytany.system.fleet.terms_meaning import Asks, asks_of, budget_faults, model_faults, price_faults
from prytany.system.fleet.trees import replicas_faults, span_faults, tree_faults
from prytany.system.wording import visible

SAID_CHARS_MAX = 300
"""Of what a decoder says, which quotes what it was given."""
NAME_CHARS_MAX = 64
ABOUT_CHARS_MAX = 200
PLACE_CHARS_MAX = 4_096
INSTRUCTION_CHARS_MAX = 400_000
TURNS_MAX = 1_000
TOKENS_MAX = 1_000_000
TEMPERATURE_MAX = 2.0
Found = Iterator[tuple[tuple[str | int, ...], str]]
_decode = msgspec.msgpack.Decoder(ResolvedFleet).decode


def unpack_fleet(packed: bytes) -> ResolvedFleet:
    """The fleet that somebody packed; raises Einval where it is none, or none that a fleet file could have led to."""
    try:
        fleet = _decode(packed)
    except UNREADABLE as error:
        raise Einval(f"this is no resolved fleet: {visible(str(error)[:SAID_CHARS_MAX])}") from None
    for path, what in _faults(fleet):
        raise Einval(f"this is no resolved fleet: {show_path(path)}: {what}")
    return msgspec.structs.replace(fleet, marks={}, leaving={})  # who keeps it says them


def _faults(fleet: ResolvedFleet) -> Found:
    yield from _names(("name",), [fleet.name])
    yield from _places(("folder",), [fleet.folder])
    if not fleet.agents:
        yield ("agents",), "there is none"
    if fleet.entry and fleet.entry not in fleet.agents:
        yield ("entry",), "there is no such agent"
    yield from _rate(("bytes_per_second",), fleet.bytes_per_second)
    for part in ("agents", "models", "secrets", "tools", "folders"):
        yield from _names((part,), getattr(fleet, part))
    yield from _places(("tools",), fleet.tools.values())
    yield from _places(("folders",), fleet.folders.values())
    for name, model in fleet.models.items():
        yield from _model(fleet, model, ("models", name))
        yield from model_faults(name, model, fleet.models, ("models", name))
    for name, secret in fleet.secrets.items():
        if sum(place is not None for place in (secret.env, secret.file, secret.credential)) != 1:
            yield ("secrets", name), "it is from `env`, `file` or `credential`"
    for at, notice in enumerate(fleet.notify):
        yield from notice_faults(notice, fleet.secrets, ("notify", at))
    yield from _names(("triggers",), fleet.triggers)
    for name, trigger in list(fleet.triggers.items())[: limits.TRIGGERS_MAX + 1]:
        yield from trigger_faults(trigger, fleet.agents, ("triggers", name))
        yield from _places(("triggers", name, "files"), trigger.files or ())
    if len(fleet.triggers) > limits.TRIGGERS_MAX:
        yield ("triggers",), "there are too many"
    for name, agent in fleet.agents.items():
        if agent.name != name:
            yield ("agents", name, "name"), "it is another one than it stands at"
        yield from _agent(fleet, agent, ("agents", name))
    yield from _names(("supervise",), fleet.supervise)
    for group in fleet.supervise.values():
        spans = re.fullmatch(SPAN, group.period) is not None and 0 <= group.intensity <= INTENSITY_MAX
        if not spans or {group.strategy} - {*Strategy} or {group.restart} - {*Restart}:
            yield ("supervise",), "a group is none that a file could say"
            return
    services = [name for name, agent in fleet.agents.items() if agent.service]
    yield from tree_faults(fleet.supervise, fleet.agents, services)
    asks = _asks(fleet)
    for name, agent in fleet.agents.items():
        yield from _budget(fleet, agent.budget, [name], asks, ("agents", name, "budget"))
    yield from _budget(fleet, fleet.budget, fleet.agents, asks, ("budget",))
    yield from ((("up_budget",), what) for what in up_budget_faults(fleet))


def up_budget_faults(fleet: ResolvedFleet) -> Iterator[str]:
    """What is wrong with what `up --budget` said of it; its agents and models are sound."""
    yield from said_faults(fleet.up_budget)
    if in_money(fleet.up_budget):
        asks = _asks(fleet)
        yield from (what for _, what in price_faults(RunBudget(usd=1.0), fleet.agents, asks, fleet.models, ()))


def _asks(fleet: ResolvedFleet) -> dict[str, Asks]:
    return {
        name: asks_of(a.kind, a.model, a.pledge, [*a.spawns, *a.handoff], fleet.models)
        for name, a in fleet.agents.items()
    }


def _budget(
    fleet: ResolvedFleet, budget: RunBudgeted | AgentBudgeted | None, of: Iterable[str],
    asks: Mapping[str, Asks], path: tuple[str, ...],
) -> Found:  # fmt: skip
    if isinstance(budget, RunBudget):
        minute = budget.per_minute
        money = (budget.usd, budget.wall_s, budget.processor_s, minute.usd if minute is not None else None)
        if not all(math.isfinite(amount or 0) for amount in money):
            yield path, "an amount is no number"
            return
    yield from budget_faults(budget, path)
    yield from price_faults(budget, of, asks, fleet.models, path)


def _rate(path: tuple[str, ...], rate: int) -> Found:
    if not 0 <= rate <= limits.BYTES_PER_SECOND_MAX:
        yield path, f"it is from 0 (none) to {limits.BYTES_PER_SECOND_MAX}"


def _names(path: tuple[str, ...], names: Iterable[str]) -> Found:
    for name in names:
        if len(name) > NAME_CHARS_MAX or re.fullmatch(NAME, name) is None:
            yield path, f"{name[:NAME_CHARS_MAX]!r} is no name"


def _places(path: tuple[str, ...], places: Iterable[str]) -> Found:
    for place in places:
        if not os.path.isabs(place) or "\0" in place or len(place) > PLACE_CHARS_MAX:
            yield path, f"{place[:NAME_CHARS_MAX]!r} is no whole path"


def _model(fleet: ResolvedFleet, model: Model, path: tuple[str, ...]) -> Found:
    endpoint = model.driver == "openai"
    if model.prices is not None and not all(
        math.isfinite(price or 0) for price in msgspec.structs.astuple(model.prices)
    ):
        yield (*path, "prices"), "a price is no number"
    if endpoint and (model.base_url is None or model.model is None):
        yield path, "an endpoint needs `base_url` and `model`"
    if not endpoint and any(getattr(model, key) is not None for key in ENDPOINT_KEYS):
        yield path, f"a model of the driver {model.driver!r} is no endpoint"
    if model.base_url is not None and (said := no_address(model.base_url)):
        yield (*path, "base_url"), said
    if model.file is not None:
        yield from _places((*path, "file"), [model.file])
    if model.key is not None and model.key.secret not in fleet.secrets:
        yield (*path, "key"), "there is no such secret"


def _agent(fleet: ResolvedFleet, agent: ResolvedAgent, path: tuple[str, ...]) -> Found:
    if agent.kind not in ("chat", "python", "inline"):
        yield (*path, "kind"), "it is `chat`, `python` or `inline`"
    if (agent.kind == "chat") != (agent.chat is not None) or (agent.kind == "chat") == bool(agent.program):
        yield path, "a chat agent has `chat`, and others have a `program`"
    place, _, function = agent.program.rpartition(":")
    if agent.program:
        yield from _places((*path, "program"), [place])
        if not function.isidentifier():
            yield (*path, "program"), "it is `/whole/path.py:function`"
    if len(agent.about) > ABOUT_CHARS_MAX:
        yield (*path, "about"), f"it has more than {ABOUT_CHARS_MAX} characters"
    if unknown := set(agent.pledge or ()) - set(PLEDGES):
        yield (*path, "pledge"), f"there is no pledge {min(unknown)[:NAME_CHARS_MAX]!r}"
    if agent.model and agent.model not in fleet.models:
        yield (*path, "model"), "there is no such model"
    for at, tool in enumerate(agent.tools):
        file, dot, name = tool.partition(".")
        if file not in fleet.tools or (dot and not name.isidentifier()):
            yield (*path, "tools", at), "there is no such tool"
    yield from _places((*path, "unveil"), agent.unveil)
    if not {"r", "rw"}.issuperset(agent.unveil.values()):
        yield (*path, "unveil"), "a mode is `r` or `rw`"
    if unknown := set(agent.spawns) - set(fleet.agents):
        yield (*path, "spawns"), f"there is no agent {min(unknown)[:NAME_CHARS_MAX]!r}"
    if unknown := set(agent.handoff) - set(fleet.agents):
        yield (*path, "handoff"), f"there is no agent {min(unknown)[:NAME_CHARS_MAX]!r}"
    if not 0 <= agent.restarts <= limits.RESTARTS_MAX:
        yield (*path, "restarts"), f"it is from 0 to {limits.RESTARTS_MAX}"
    spans = [span for span in (agent.progress_within, agent.shutdown) if span]
    if not all(re.fullmatch(SPAN, span) for span in spans) or {agent.restart} - {*Restart, ""}:
        yield path, "how it is supervised is nothing that a file could say"
    else:
        yield from span_faults(agent.progress_within, agent.shutdown, path)
    if agent.replicas is not None and re.fullmatch(SPAN, agent.replicas.idle) is None:
        yield (*path, "replicas", "idle"), "it is no time"
    else:
        yield from replicas_faults(agent.replicas, path)
    if agent.qos and agent.qos not in QOS:
        yield (*path, "qos"), f"it is one of {', '.join(QOS)}"
    if not 1 <= agent.weight <= WEIGHT_MAX:
        yield (*path, "weight"), f"it is from 1 to {WEIGHT_MAX}"
    yield from _rate((*path, "bytes_per_second"), agent.bytes_per_second)
    if not 0 <= agent.mailbox <= limits.MAILBOX_MESSAGES_MAX:
        yield (*path, "mailbox"), f"it is from 0 to {limits.MAILBOX_MESSAGES_MAX}"
    if not 0 <= agent.attempts <= limits.MESSAGE_ATTEMPTS_ASKED_MAX:
        yield (*path, "attempts"), f"it is from 0 to {limits.MESSAGE_ATTEMPTS_ASKED_MAX}"
    if agent.accepts is not None and (said := forms_fault(agent.accepts))[1]:
        yield (*path, "accepts", *said[0]), said[1]
    if agent.accepts is not None and agent.kind == "chat":
        yield (*path, "accepts"), "a chat agent takes what is said to it"
    yield from _places((*path, "python"), filter(None, [agent.python]))
    if agent.chat is not None:
        yield from _chat(agent.chat, (*path, "chat"))


def _chat(chat: Chat, path: tuple[str, ...]) -> Found:
    if len(chat.instruction) > INSTRUCTION_CHARS_MAX:
        yield (*path, "instruction"), f"it has more than {INSTRUCTION_CHARS_MAX} characters"
    if not 1 <= chat.turns <= TURNS_MAX:
        yield (*path, "turns"), f"it is from 1 to {TURNS_MAX}"
    if chat.max_tokens is not None and not 1 <= chat.max_tokens <= TOKENS_MAX:
        yield (*path, "max_tokens"), f"it is from 1 to {TOKENS_MAX}"
    heat = chat.temperature
    if heat is not None and not (math.isfinite(heat) and 0 <= heat <= TEMPERATURE_MAX):
        yield (*path, "temperature"), f"it is from 0 to {TEMPERATURE_MAX:g}"
    yield from _places((*path, "skills"), chat.skills)
    if chat.answer is not None and (said := schema_fault(chat.answer))[1]:
        yield (*path, "answer", *said[0]), said[1]
