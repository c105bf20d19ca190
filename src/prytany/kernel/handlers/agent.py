"""Starting a child as an agent of the caller's fleet: by its name, or by the program that it is.

It has what the fleet grants it, not what its parent has: the operator said what it is, and by `spawns` who may start
it.
"""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Eperm
from prytany.abi.ids import pid_of
from prytany.abi.names import check_tags
from prytany.abi.values import pack
from prytany.kernel.handlers.pipe import given
from prytany.kernel.handlers.share import granted, lighter, lower
from prytany.kernel.handlers.supervise import supervised
from prytany.kernel.outcome import Context, Denied, Done
from prytany.process.process import Process


def spawn_agent(k: Context, p: Process, a: Any, name: str) -> Done:
    """A child by an agent's name. What the caller asks further can only take away from what the agent has."""
    own, fleet = k.fleets.agent_of(p.pid), k.fleets.fleet_of(p.pid)
    if own is None or fleet is None or name not in own.spawns or name not in fleet.agents:
        raise Denied
    agent = fleet.agents[name]
    if a.pledge is not None and (beyond := sorted(set(a.pledge) - set(agent.pledge))):
        raise Eperm(f"the agent {agent.name!r} has no pledge {beyond[0][:100]!r}", call="process_spawn")
    if a.tools is not None and (beyond := sorted(set(a.tools) - set(agent.tools))):
        raise Eperm(f"the agent {agent.name!r} has no tool {beyond[0][:100]!r}", call="process_spawn")
    if len(a.name.encode()) > limits.NAME_BYTES_MAX:
        raise Einval(f"a name has at most {limits.NAME_BYTES_MAX} bytes", call="process_spawn")
    argument = pack([a.args, a.kwargs])
    pid = pid_of(0, k.table.next_number)
    spawned = ev.ProcessSpawned(
        pid=pid, parent=p.pid, run=p.run, name=a.name or agent.name, kind=agent.kind, program=agent.program,
        source=agent.source, argument=k.digest(argument), pledge=sorted(agent.pledge if a.pledge is None else a.pledge),
        unveil=agent.unveil, seed=k.entropy(32), model=fleet.models.get(agent.model, p.model), python=agent.python,
        environment=k.environment(agent.python),
        restarts=0 if a.restart or agent.restart else agent.restarts, fleet=fleet.number, agent=agent.name,
        tags=check_tags(p.tags, agent.tags), qos=lower(p, a, agent.qos if agent.qos >= 0 else p.qos),
        weight=lighter(p, a, agent.weight),
    )  # fmt: skip
    tools = ev.ToolsNarrowed(pid, sorted(agent.tools if a.tools is None else a.tools))
    more = (*granted(pid, p.pid, a.budget, agent), *supervised(k, p.pid, pid, a, agent), *given(k, p, pid, a.ends))
    events = (spawned, tools, *more, ev.ProcessReady(pid, 1))
    return Done(int(pid), events, contents=(argument,))
