"""A resolved fleet, as the kernel takes it: programs found, models and tools by the names that the kernel knows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from prytany.abi.program import MODULE, Module, pack_program
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.kernel.toolbox import Toolbox
from prytany.system.fleet.meaning import FindProgram
from prytany.system.fleet.resolved import ResolvedAgent, ResolvedFleet

CHAT = "chat"


def agents_of(fleet: ResolvedFleet, tools: Toolbox, find: FindProgram) -> Iterator[Agent]:
    """The fleet's agents. Raises KernelError for a program that is not there any more, or a file of tools."""
    for agent in fleet.agents.values():
        yield Agent(
            name=agent.name,
            kind="python" if agent.kind == CHAT else agent.kind,  # the same workers run both
            program=_chat(fleet, agent) if agent.kind == CHAT else find(agent.program),
            pledge=agent.pledge,
            model=agent.model,
            tools=sorted(_tools(fleet, agent, tools)),
            unveil={**agent.unveil, **dict.fromkeys(agent.chat.skills if agent.chat else (), "r")},
            spawns=agent.spawns,
            restarts=agent.restarts,
            python=agent.python,
            about=agent.about,
        )


def _tools(fleet: ResolvedFleet, agent: ResolvedAgent, tools: Toolbox) -> set[str]:
    """The tools that an agent names, where a name without a dot is all of a file."""
    found: set[str] = set()
    for name in agent.tools:
        file, dot, _ = name.partition(".")
        found |= {name} if dot else set(tools.names(fleet.tools[file]))
    return found


def _chat(fleet: ResolvedFleet, agent: ResolvedAgent) -> Program:
    """The built-in loop, with what the fleet says of the agent in a module beside it."""
    assert agent.chat is not None
    path, text = _loop()
    spec = {
        **msgspec.to_builtins(agent.chat),
        "turns": agent.chat.turns,
        "spawns": {name: fleet.agents[name].about for name in agent.spawns},
    }
    module = Module("agent_spec", MODULE, f"SPEC = {spec!r}\n".encode())
    pledge = ["ipc", "model"]
    pledge += ["tools"] * bool(agent.tools) + ["proc"] * bool(agent.spawns) + ["files.read"] * bool(agent.chat.skills)
    return Program(f"{path}:main", agent.name, pack_program(text, [module]), tuple(sorted(pledge)))


@cache
def _loop() -> tuple[str, bytes]:
    import prytany.runtime.chat as loop  # late: who has no chat agents does not load it

    path = Path(inspect.getfile(loop))
    return str(path), path.read_bytes()
