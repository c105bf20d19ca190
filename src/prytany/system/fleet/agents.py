"""The agents of a resolved fleet, as the kernel takes them: programs found, tools by their whole names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec

from prytany.abi.errors import Enoent
from prytany.abi.program import CONVERSATION, MODULE, Module, pack_program
from prytany.abi.qos import QOS
from prytany.kernel.fleets import UNSAID, Agent
from prytany.kernel.outcome import Program
from prytany.system.fleet.form_terms import AgentBudget, known_budget
from prytany.system.fleet.form_trees import span_ms
from prytany.system.fleet.meaning import FindProgram
from prytany.system.fleet.resolved import ResolvedAgent, ResolvedFleet

CHAT = "chat"
Names = Callable[[str], list[str]]
"""The tools of a file."""


def agents_of(fleet: ResolvedFleet, names: Names, find: FindProgram) -> Iterator[Agent]:
    """The fleet's agents. Raises KernelError for a program that is not there any more, or a tool."""
    for agent in fleet.agents.values():
        yield Agent(
            name=agent.name,
            kind="python" if agent.kind == CHAT else agent.kind,  # the same workers run both
            program=_chat(fleet, agent) if agent.kind == CHAT else find(agent.program),
            pledge=agent.pledge,
            model=agent.model,
            tools=sorted(_tools(fleet, agent, names)),
            unveil={**agent.unveil, **dict.fromkeys(agent.chat.skills if agent.chat else (), "r")},
            spawns=agent.spawns,
            restarts=agent.restarts,
            python=agent.python,
            about=agent.about,
            tags=agent.tags,
            qos=int(QOS[agent.qos]) if agent.qos else UNSAID,
            weight=agent.weight,
            budget=known_budget(agent.budget),
            budget_tree=isinstance(agent.budget, AgentBudget) and agent.budget.of != "process",
            bytes_per_second=agent.bytes_per_second,
            handoff=agent.handoff,
            talks=CONVERSATION if agent.kind == CHAT else "",
            restart=agent.restart,
            shutdown_ms=span_ms(agent.shutdown) if agent.shutdown else -1,
            progress_ms=span_ms(agent.progress_within) if agent.progress_within else 0,
        )


def _tools(fleet: ResolvedFleet, agent: ResolvedAgent, names: Names) -> set[str]:
    """The tools that an agent names, where a name without a dot is all of a file. Raises Enoent."""
    known = {tool for path in fleet.tools.values() for tool in names(path)} if agent.tools else set[str]()
    found: set[str] = set()
    for name in agent.tools:
        file, dot, _ = name.partition(".")
        found |= {name} if dot else set(names(fleet.tools[file]))
    if missing := sorted(found - known):
        raise Enoent(f"the agent {agent.name!r} has the tool {missing[0]!r}, and there is none of that name")
    return found


def _chat(fleet: ResolvedFleet, agent: ResolvedAgent) -> Program:
    """The built-in loop, with what the fleet says of the agent in a module beside it."""
    assert agent.chat is not None
    path, text = _loop()
    chat = msgspec.structs.replace(agent.chat, read_from="")  # the operator's business alone
    spec = {
        **msgspec.to_builtins(chat),
        "turns": agent.chat.turns,
        "spawns": {name: fleet.agents[name].about for name in agent.spawns},
        "handoff": {name: fleet.agents[name].about for name in agent.handoff if name != agent.name},
    }
    module = Module("agent_spec", MODULE, f"SPEC = {spec!r}\n".encode())
    pledge = ["ipc", "model", "pipe"]
    pledge += ["tools"] * bool(agent.tools) + ["proc"] * bool(agent.spawns) + ["files.read"] * bool(agent.chat.skills)
    return Program(f"{path}:main", agent.name, pack_program(text, [module]), tuple(sorted(pledge)))


@cache
def _loop() -> tuple[str, bytes]:
    import prytany.runtime.chat as loop  # late: who has no chat agents does not load it

    path = Path(inspect.getfile(loop))
    return str(path), path.read_bytes()
