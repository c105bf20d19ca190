"""What the kernel shows of itself, as the answers of `abi.control`: made from the fold alone."""

from __future__ import annotations

import msgspec

from prytany.abi import control, limits
from prytany.kernel.letting_go import absent
from prytany.kernel.pages import Pages
from prytany.process.incidents import ABANDONED
from prytany.process.process import Process
from prytany.process.table import Table

LIMITS = {
    "calls_in_flight": limits.CALLS_IN_FLIGHT_MAX,
    "argument_bytes": limits.ARGUMENT_BYTES_MAX,
    "result_bytes": limits.RESULT_BYTES_MAX,
    "children": limits.CHILDREN_MAX,
    "depth": limits.DEPTH_MAX,
    "worker_memory_bytes": limits.WORKER_MEMORY_BYTES,
    "worker_files": limits.WORKER_FILES_MAX,
    "log_bytes": limits.LOG_BYTES_MAX,
}


def process_rows(pages: Pages, after: int) -> list[control.ProcessRow]:
    """The next processes with a pid above `after`."""
    return [_row(p) for p in pages.after(after, control.ROWS_MAX)]


def _row(p: Process) -> control.ProcessRow:
    state, reason = p.shown_state()
    return control.ProcessRow(
        pid=p.pid, parent=p.parent, run=p.run, name=p.name, state=state, reason=reason, status=p.status,
        pledge=p.pledge, calls=p.usage.calls, denials=p.usage.denials,
        tokens=p.usage.prompt_tokens + p.usage.completion_tokens, cost_usd_micros=p.usage.cost_usd_micros,
        cpu_us=p.usage.cpu_us + p.below.cpu_us, run_us=p.usage.run_us, wait_us=p.usage.wait_us,
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


def inspection(table: Table, pid: int, now_ns: int) -> control.Inspection:
    """Everything about one process; raises Esrch."""
    p = table.get(pid)
    if p is None:
        raise absent(table, pid)
    state, reason = p.shown_state()
    return control.Inspection(
        pid=p.pid, parent=p.parent, run=p.run, name=p.name, kind=p.kind, program=p.program, source=p.source.hex(),
        state=state, reason=reason, status=p.status, signal=p.signal, incarnation=p.incarnation, depth=p.depth,
        pledge=p.pledge, unveil=p.unveil, model=p.model, limits=LIMITS,
        open=[
            control.OpenRow(n=n, call=c.shown, opened_ns=c.opened_ns, subject=c.subject, doubt=c.doubt)
            for n, c in sorted(p.open.items())
        ],
        children=list(p.children), usage=msgspec.structs.asdict(p.usage), denied=p.denied,
        incidents=[_incident(table, p, n) for n in p.incidents]
        + [_abandoned(table, -at) for at, a in table.abandoned.items() if a.pid == pid],
        now_ns=now_ns, spawned_ns=p.spawned_ns, started_ns=p.started_ns, ended_ns=p.ended_ns,
        spawned_seq=p.spawned_seq, tail=p.tail, ended_seq=p.ended_seq,
    )  # fmt: skip
