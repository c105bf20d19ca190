"""What the kernel shows of itself, as the answers of `abi.control`: made from the fold alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from prytany.abi import control, limits
from prytany.kernel.accounts import accounts_of
from prytany.kernel.letting_go import absent
from prytany.kernel.notice_views import channel_rows
from prytany.kernel.pages import Pages
from prytany.kernel.queue_views import qos_name
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.kernel.state import ShardState
from prytany.kernel.totals import below_row, tree_of, usage_row
from prytany.process.incidents import ABANDONED
from prytany.process.process import PACED, WAITS, OpenCall, Process
from prytany.process.table import Table

LIMITS = {
    "calls_in_flight": limits.CALLS_IN_FLIGHT_MAX,
    "argument_bytes": limits.ARGUMENT_BYTES_MAX,
    "result_bytes": limits.RESULT_BYTES_MAX,
    "children": limits.CHILDREN_MAX,
    "depth": limits.DEPTH_MAX,
    "mailbox_messages": limits.MAILBOX_MESSAGES_MAX,
    "contexts": limits.CONTEXTS_MAX,
    "worker_memory_bytes": limits.WORKER_MEMORY_BYTES,
    "worker_files": limits.WORKER_FILES_MAX,
    "log_bytes": limits.LOG_BYTES_MAX,
}


def process_rows(state: ShardState, pages: Pages, after: int, now_ns: int) -> list[control.ProcessRow]:
    """The next processes with a pid above `after`; `pages` are of the state's table."""
    return [_row(state, p, now_ns) for p in pages.after(after, control.ROWS_MAX)]


def _row(shard: ShardState, p: Process, now_ns: int) -> control.ProcessRow:
    state, reason = p.shown_state()
    usage = p.usage
    member = shard.fleets.members.get(p.pid)
    return control.ProcessRow(
        pid=p.pid, parent=p.parent, run=p.run, name=p.name, state=state, reason=reason, status=p.status,
        pledge=p.pledge, calls=usage.calls, denials=usage.denials,
        tokens=usage.prompt_tokens + usage.completion_tokens, cost_usd_micros=usage.cost_usd_micros,
        cpu_us=usage.cpu_us + p.below.cpu_us, run_us=usage.run_us, wait_us=usage.wait_us, wall_us=_wall_us(p, now_ns),
        kind=p.kind, program=p.program, source=p.source.hex(), model=p.model, unveil=p.unveil,
        incarnation=p.incarnation, failures=p.failures, restarts=p.restarts, children=len(p.children),
        open=_open(p, control.ROW_CALLS_MAX), open_calls=len(p.open), mailbox=_mailbox(shard, p),
        contexts=shard.contexts.count(p.pid), incidents=len(p.incidents), journal_bytes=p.journal_bytes,
        spawned_ns=p.spawned_ns, started_ns=p.started_ns, ended_ns=p.ended_ns, forgotten=p.forgotten,
        usage=usage_row(usage), below=below_row(p),
        fleet=shard.fleets.fleets[member.fleet].name if member else "", agent=member.agent if member else "",
        tags=p.tags, session=p.run if p.run in shard.sessions.sessions else 0, qos=qos_name(p.qos), weight=p.weight,
        deadline_ns=p.deadline_ns, queued_us=_queued_us(p, now_ns), **_supervision(shard, p.pid),
    )  # fmt: skip


def _supervision(shard: ShardState, pid: int) -> dict[str, Any]:
    child, own = shard.trees.children.get(pid), shard.trees.supervisors.get(pid)
    said: dict[str, Any] = {"restart": child.restart} if child is not None else {}
    if own is not None:
        said |= {
            "strategy": own.strategy, "intensity": own.intensity, "period_ms": own.period_ms,
            "tree_restarts": own.restarts,
        }  # fmt: skip
    pool = shard.pools.pools.get(pid)
    if pool is not None:
        said["pool"] = [pool.least, pool.most]
    return said


def _queued_us(p: Process, now_ns: int) -> int:
    return p.usage.queued_us + sum((now_ns - c.queued_ns) // 1000 for c in p.open.values() if c.queued_ns)


def _wall_us(p: Process, now_ns: int) -> int:
    return ((p.ended_ns or now_ns) - p.started_ns) // 1000 if p.started_ns else 0


def _mailbox(shard: ShardState, p: Process) -> control.MailboxRow:
    box = shard.post.box(p.pid)
    return control.MailboxRow(waiting=len(box.waiting), in_hand=len(box.in_hand), dead=len(box.dead))


def _open(p: Process, most: int) -> list[control.OpenRow]:
    """The oldest open calls; they lie in the order in which they were opened."""
    return [
        control.OpenRow(
            n=n, call=c.shown, opened_ns=c.opened_ns, subject=c.subject, doubt=c.doubt, waits=_waits(p, n, c)
        )
        for n, c in islice(p.open.items(), most)
    ]


def _waits(p: Process, n: int, call: OpenCall) -> str:
    """What an open call waits for."""
    if n in p.incidents:
        return f"a person: {p.incidents[n]}"
    if call.doubt:
        return "an outcome in doubt"
    if call.paced:
        return PACED
    if call.queued_ns and call.reserved is not None:
        return f"its turn at {call.reserved.model}"
    if call.call == "tool_call":
        return "" if call.started else "its turn at a resource"
    waits = WAITS.get(call.call, "")
    return f"process {call.subject}" if waits == "process" else waits


def fleet_rows(shard: ShardState) -> list[control.FleetRow]:
    """The fleets that there are, oldest first."""
    return [
        control.FleetRow(
            number=f.number,
            name=f.name,
            stays=f.stays,
            processes=f.members,
            models=sorted(f.models),
            agents={name: agent.about for name, agent in sorted(f.agents.items())},
            channels=channel_rows(f),
        )
        for f in islice(shard.fleets.fleets.values(), control.ROWS_MAX)
    ]


def session_rows(shard: ShardState, after: int, attended: Mapping[int, int]) -> list[control.SessionRow]:
    """The next sessions with a number above `after`; `attended` is by how many each is, where that is anybody."""
    numbers = sorted(number for number in shard.sessions.sessions if number > after)
    return [session_row(shard, number, attended.get(number, 0)) for number in numbers[: control.ROWS_MAX]]


def session_row(shard: ShardState, number: int, attended: int) -> control.SessionRow:
    """One session, which there is."""
    s = shard.sessions.sessions[number]
    root, box = shard.table.require(number), shard.post.box(number)
    return control.SessionRow(
        session=number, state="open" if s.open else "closed" if s.closed_ns else "closing", user=s.user, uid=s.uid,
        fleet=s.fleet, agent=s.agent, kept=s.kept, grace_ms=s.grace_ms, attended=attended,
        processes=root.alive + root.kin, unanswered=len(box.waiting) + len(box.in_hand), begun_ns=s.begun_ns,
        spoken_ns=s.spoken_ns, spoken_seq=s.spoken_seq, closing_ns=s.closing_ns, closed_ns=s.closed_ns,
        reason=s.reason,
    )  # fmt: skip


def incident_rows(table: Table) -> list[control.IncidentRow]:
    """What needs a person, oldest first."""
    rows: list[control.IncidentRow] = []
    for key in table.incidents:
        pid, _, n = key.split(":")
        number = int(n)
        rows.append(_abandoned(table, number) if number < 0 else _incident(table, table.require(int(pid)), number))
        if len(rows) == control.ROWS_MAX:
            break
    return rows


def _incident(table: Table, p: Process, n: int) -> control.IncidentRow:
    kind = p.incidents[n]
    since_ns = table.incidents[f"{p.pid}:{kind}:{n}"]
    call = p.open[n].shown if n else ""
    return control.IncidentRow(pid=p.pid, n=n, kind=kind, name=p.name, call=call, since_ns=since_ns)


def _abandoned(table: Table, n: int) -> control.IncidentRow:
    a = table.abandoned[-n]
    since_ns = table.incidents[f"{a.pid}:{ABANDONED}:{n}"]
    return control.IncidentRow(pid=a.pid, n=n, kind=ABANDONED, name=a.name, call=a.call, since_ns=since_ns)


def _left(table: Table, pid: int) -> list[control.IncidentRow]:
    return [_abandoned(table, -at) for at, a in table.abandoned.items() if a.pid == pid]


def inspection(shard: ShardState, pid: int, now_ns: int, quotas: Quotas = DEFAULT_QUOTAS) -> control.Inspection:
    """Everything about one process; raises Esrch."""
    table = shard.table
    p = table.get(pid)
    if p is None:
        raise absent(table, pid)
    state, reason = p.shown_state()
    own = shard.contexts.owned.get(pid)
    mailbox = _mailbox(shard, p)
    return control.Inspection(
        pid=p.pid, parent=p.parent, run=p.run, name=p.name, kind=p.kind, program=p.program, source=p.source.hex(),
        state=state, reason=reason, status=p.status, signal=p.signal, incarnation=p.incarnation, depth=p.depth,
        pledge=p.pledge, unveil=p.unveil, model=p.model, limits=_limits(p, quotas), used=_used(shard, p, mailbox),
        open=_open(p, len(p.open)), children=list(p.children), usage=usage_row(p.usage), tree=tree_of(table, p),
        denied=p.denied, failures=p.failures,
        incidents=[*(_incident(table, p, n) for n in p.incidents), *_left(table, pid)],
        warned=p.warned, pending=p.pending.hex(), python=p.python, tools=sorted(shard.grants.of(p.run, pid)),
        contexts=[
            control.ContextRow(number=number, messages=head.length, size_bytes=head.size, node=head.node.hex())
            for number, head in islice(own.heads.items() if own else (), control.ROWS_MAX)
        ],
        mailbox=mailbox, forgotten=p.forgotten, now_ns=now_ns, spawned_ns=p.spawned_ns, started_ns=p.started_ns,
        ended_ns=p.ended_ns, wall_us=_wall_us(p, now_ns), spawned_seq=p.spawned_seq, tail=p.tail,
        ended_seq=p.ended_seq, tags=p.tags, session=p.run if p.run in shard.sessions.sessions else 0,
        qos=qos_name(p.qos), weight=p.weight, deadline_ns=p.deadline_ns, queued_us=_queued_us(p, now_ns),
        accounts=list(accounts_of(shard, p)),
    )  # fmt: skip


def _limits(p: Process, quotas: Quotas) -> dict[str, int]:
    return {
        **LIMITS,
        "restarts": p.restarts,
        "journal_bytes": quotas.process_bytes,
        "home_journal_bytes": quotas.tenant_bytes,
        "history_calls": quotas.history_calls_max,
        "refused_calls": quotas.refusals_max,
    }


def _used(shard: ShardState, p: Process, mailbox: control.MailboxRow) -> dict[str, int]:
    return {
        "calls_in_flight": len(p.open),
        "children": len(p.children),
        "depth": p.depth,
        "mailbox_messages": mailbox.waiting + mailbox.in_hand,
        "contexts": shard.contexts.count(p.pid),
        "restarts": p.failures,
        "journal_bytes": p.journal_bytes,
        "home_journal_bytes": shard.table.journal_bytes,
        "history_calls": p.history,
        "refused_calls": p.usage.denials - p.refused_from,
    }
