"""Bringing a resolved fleet into a kernel: programs found, models and tools by the names that the kernel knows.

A kernel that goes on in a home brings its fleets again from the journal: what runs asks the models that it asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from prytany.abi.program import MODULE, Module, pack_program
from prytany.kernel.fleets import Agent
from prytany.kernel.kernel import Kernel
from prytany.kernel.outcome import Program
from prytany.kernel.toolbox import Toolbox
from prytany.ports.courier import Courier
from prytany.ports.model import Model
from prytany.ports.tool import Tools
from prytany.system.fleet.channels import check_secrets, couriers_back, forms_of, open_couriers
from prytany.system.fleet.meaning import FindProgram
from prytany.system.fleet.models import names_of, open_fleet_models
from prytany.system.fleet.resolved import ResolvedAgent, ResolvedFleet
from prytany.system.logs import Logs
from prytany.system.programs import find_program
from prytany.system.tools import load_tools

CHAT = "chat"
_decoder = msgspec.msgpack.Decoder(ResolvedFleet)


class Drivers(NamedTuple):
    """What a kernel's models, tools and couriers are, by name, by file and by channel: the same that it looks them up
    in."""

    models: dict[str, Model]
    tools: dict[str, Tools]
    couriers: dict[str, Courier]


def resolved_of(kernel: Kernel, number: int) -> ResolvedFleet:
    """A fleet of the kernel, as it was brought last. Raises Enoent, and Eio where the record of it is damaged."""
    return _decoder.decode(kernel.content(kernel.fleet_operator.get(number).resolved))


async def bring(
    kernel: Kernel, drivers: Drivers, logs: Logs, fleet: ResolvedFleet, *, uid: int,
    stays: bool = False, number: int = 0, find: FindProgram = lambda target: find_program(target, ""),
) -> int:  # fmt: skip
    """Bring a fleet, or bring `number` again; its number. Nothing is changed where it cannot be brought.

    Raises:
        KernelError: a program, tool, model or secret is not there, or cannot be used.
    """
    tools = drivers.tools
    loaded = {path: await load_tools(path, logs) for path in fleet.tools.values() if path not in tools}
    try:
        kept = open_models(kernel, drivers, number) if number else {}
        tools.update(loaded)
        agents = list(agents_of(fleet, kernel.tools, find))
        as_number = number or kernel.fleets.next_number
        models = open_fleet_models(fleet, as_number, kept)
        check_secrets(fleet)
        kernel.fleet_operator.declare(
            fleet.name, agents, models=names_of(fleet, as_number), tools=list(fleet.tools.values()),
            resolved=msgspec.msgpack.encode(fleet), uid=uid, stays=stays, number=number, channels=forms_of(fleet),
        )  # fmt: skip
    except BaseException:
        for path, opened in loaded.items():
            tools.pop(path, None)
            await opened.close()
        raise
    drivers.models.update(models)
    open_couriers(drivers.couriers, kernel, as_number, fleet)
    return as_number


def open_models(kernel: Kernel, drivers: Drivers, number: int) -> dict[str, tuple[object, Model]]:
    """The models of a fleet that are open: by name what its file said of each, and the model."""
    forms = resolved_of(kernel, number).models
    opened = drivers.models
    return {name: (forms[name], opened[f"{number}/{name}"]) for name in forms if f"{number}/{name}" in opened}


def bring_back(kernel: Kernel, drivers: Drivers) -> None:
    """Open the models and couriers of the fleets that are in the journal. Raises KernelError where a model cannot
    be."""
    for number in kernel.fleets.fleets:
        drivers.models.update(open_fleet_models(resolved_of(kernel, number), number, {}))
        drivers.couriers.update(couriers_back(kernel, number))


def tools_of(kernel: Kernel) -> list[str]:
    """The files of tools of the fleets that are in the journal."""
    return list(dict.fromkeys(path for fleet in kernel.fleets.fleets.values() for path in fleet.tools))


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
    chat = msgspec.structs.replace(agent.chat, read_from="")  # the operator's business alone
    spec = {
        **msgspec.to_builtins(chat),
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
