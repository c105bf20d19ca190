"""Handing over: a process goes on as another agent of its fleet.

As `exec` in Unix, of another program: one event, by which it has what its fleet grants that agent and nothing of what
it had before. So whoever waits for it, talks with it or sends to it goes on, and no answer is lost on the way. What it
may become, the operator said: `handoff` of its agent in the fleet file.
"""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import process_account, tree_account
from prytany.abi.errors import Ecanceled, Edeadlk, Einval
from prytany.abi.names import check_tags
from prytany.abi.qos import Qos
from prytany.abi.values import pack
from prytany.kernel.handlers.context import require_head
from prytany.kernel.handlers.incarnation import charges
from prytany.kernel.outcome import Context, Denied, Ended
from prytany.process.process import Process

CALL = "agent_handoff"


def sys_agent_handoff(k: Context, p: Process, n: int, a: Any) -> Ended:
    """The same process, and another agent."""
    own, fleet = k.fleets.agent_of(p.pid), k.fleets.fleet_of(p.pid)
    if own is None or fleet is None or a.agent not in own.handoff or a.agent not in fleet.agents:
        raise Denied
    agent = fleet.agents[a.agent]
    if p.asked:
        raise Ecanceled("it was told to end, and hands nothing over", call=CALL)
    row = _row(k, p)
    if "ipc" not in agent.pledge and (k.post.box(p.pid).in_hand or p.pid in k.state.sessions.sessions):
        raise Einval(f"the agent {agent.name!r} has not pledged 'ipc', and could answer nobody", call=CALL)
    if a.context:
        _check_context(k, p, agent, fleet.models.get(agent.model, p.model), a.context)
    if len(a.reason.encode("utf-8", "surrogatepass")) > limits.HANDOFF_REASON_BYTES_MAX:
        raise Einval(f"a reason has at most {limits.HANDOFF_REASON_BYTES_MAX} bytes", call=CALL)
    in_hand = sorted(k.post.box(p.pid).in_hand) if a.heard else []
    handed = pack({"args": a.args, "variables": a.variables, "reason": a.reason, "heard": in_hand})
    if len(handed) > limits.HANDOFF_BYTES_MAX:
        raise Einval(f"what is handed over has at most {limits.HANDOFF_BYTES_MAX} bytes", call=CALL)
    event = ev.ProcessHandedOff(
        pid=p.pid, prev=p.tail, by=own.name, agent=agent.name,
        name=agent.name if p.name == own.name else p.name, kind=agent.kind, program=_program(k, p, own, agent),
        source=agent.source, pledge=sorted(agent.pledge), unveil=agent.unveil,
        model=fleet.models.get(agent.model, p.model), python=agent.python, environment=k.environment(agent.python),
        restarts=agent.restarts, tags=_tags(k, p, own, agent), qos=_qos(k, p, agent), weight=agent.weight,
        kept=p.pid == p.run or agent.restarts > 0, handed=k.digest(handed), row=row, context=a.context,
    )  # fmt: skip
    moved = (ev.IncidentClosed(p.pid, "upgrade"),) if p.incidents.get(0) == "upgrade" else ()
    tools = ev.ToolsNarrowed(p.pid, sorted(agent.tools))
    return Ended((*charges(k, p), *moved, event, tools, *_budget(k, p, agent)), (handed,))


def _row(k: Context, p: Process) -> int:
    """How many times in a row it was handed over, with this one. Something was done where a message was finished since
    the last; or, while none is in hand that somebody waits with, where a model was asked.

    Raises:
        Edeadlk: too often: agents hand over to each other, and do nothing else.
    """
    asked = p.usage.model_calls != p.handoff_asked and not k.post.box(p.pid).in_hand
    if not asked and p.handoffs >= limits.HANDOFFS_MAX:
        why = f"it was handed over {p.handoffs} times in a row, and nobody did anything: do it here"
        raise Edeadlk(why, call=CALL, detail={"cause": "handoffs"})
    return 1 if asked else p.handoffs + 1


def _check_context(k: Context, p: Process, agent: ev.AgentDeclared, endpoint: str, number: int) -> None:
    head = require_head(k, p, number, CALL)
    model = k.endpoint(endpoint)
    if head.images and model is not None and not model.features.images:
        raise Einval(
            f"the conversation has pictures, and the model of {agent.name!r} sees none", call=CALL,
            detail={"feature": "images"},
        )  # fmt: skip


def _program(k: Context, p: Process, own: ev.AgentDeclared, agent: ev.AgentDeclared) -> str:
    """Who is talked with goes on by the function of the other that keeps a conversation, if that has one."""
    talks = p.pid in k.state.sessions.sessions or (own.talks and p.program.endswith(f":{own.talks}"))
    if agent.talks and (talks or k.post.box(p.pid).in_hand):
        return f"{agent.program.rpartition(':')[0]}:{agent.talks}"
    return agent.program


def _tags(k: Context, p: Process, own: ev.AgentDeclared, agent: ev.AgentDeclared) -> list[str]:
    """The other's own, with those of its run and of who started it; not those of the agent that it was."""
    parent = k.table.get(p.parent)
    theirs = parent.tags if parent is not None else ()
    return check_tags(agent.tags, [tag for tag in p.tags if tag not in own.tags or tag in theirs])


def _qos(k: Context, p: Process, agent: ev.AgentDeclared) -> int:
    if agent.qos >= 0:
        return agent.qos
    return Qos.INTERACTIVE if p.pid in k.state.sessions.sessions else p.qos


def _budget(k: Context, p: Process, agent: ev.AgentDeclared) -> tuple[ev.Event, ...]:
    """What the fleet grants each process of the other. A bound of the whole tree that is there stays: who hands over
    does not get rid of it, and the other's own bounds it beside that."""
    budget = agent.budget
    if budget is None:
        return ()
    tree = agent.budget_tree and k.budgets.get(tree_account(p.pid)) is None
    account = tree_account(p.pid) if tree else process_account(p.pid)
    before = k.budgets.laid_by.get(account, {}).get(agent.name)
    bounds = (budget.total, budget.minute) if before is None else (before.total, before.minute)
    return (ev.BudgetGranted(account, *bounds, p.pid),)
