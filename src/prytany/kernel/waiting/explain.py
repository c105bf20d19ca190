"""The walk along the edges, from a process down to what nothing else waits for.

Who adds a kind of waiting writes an edge, and names it here: the first edge that knows says it. A process that stands
above itself in the walk is a circle, and ends it.
"""

from __future__ import annotations

from itertools import islice

from prytany.abi.control import CAUSES_MAX, CauseRow
from prytany.kernel.letting_go import absent
from prytany.kernel.queue_views import Live
from prytany.kernel.state import ShardState
from prytany.kernel.waiting import budget, calls, others, pipes, rate, resource, shared, state, turn
from prytany.kernel.waiting.edge import Cause, Look, OfCall, OfProcess
from prytany.process.process import Process

OF_PROCESS: tuple[OfProcess, ...] = (
    state.ended, calls.person_of_process, budget.stopped, state.stopped, state.restarting, state.not_begun,
)  # fmt: skip
OF_CALL: tuple[OfCall, ...] = (
    calls.person, budget.parked, turn.at_model, turn.under_way, rate.paced, resource.resource, others.child,
    others.room, others.reply, others.message, shared.lock, shared.segment, pipes.at_pipe, calls.timer, calls.doing,
)  # fmt: skip
CALLS_MAX = 8
"""Of one process: its oldest open ones."""
DEPTH_MAX = 64


def explain(shard: ShardState, pid: int, live: Live | None, now_ns: int) -> list[CauseRow]:
    """What a process waits for, each followed by its own causes, deeper. Raises Esrch."""
    if (process := shard.table.get(pid)) is None:
        raise absent(shard.table, pid)
    look, rows, said = Look(shard, live, now_ns), list[CauseRow](), set[int]()
    left: list[tuple[int, int, tuple[int, ...]]] = [(process.pid, 0, ())]
    while left and len(rows) < CAUSES_MAX:
        at, depth, above = left.pop()
        process = shard.table.get(at)
        if at in above:
            rows.append(_row(look, process, depth, 0, "", Cause("circle", "it waits for itself, by way of these")))
        elif at in said:
            rows.append(_row(look, process, depth, 0, "", Cause("above", "its causes are named above")))
        elif process is None or depth > DEPTH_MAX:
            continue
        else:
            said.add(at)
            found = _of(look, process, depth)
            for row in reversed(found):
                left += [(lead, depth + 1, (*above, at)) for lead in reversed(row.leads)]
            rows += found
    return rows[:CAUSES_MAX]


def _of(look: Look, p: Process, depth: int) -> list[CauseRow]:
    for edge in OF_PROCESS:
        if (cause := edge(look, p)) is not None:
            return [_row(look, p, depth, 0, "", cause)]
    rows: list[CauseRow] = []
    for n, call in islice(p.open.items(), CALLS_MAX):
        for of_call in OF_CALL:
            if (cause := of_call(look, p, n, call)) is not None:
                rows.append(
                    _row(look, p, depth, n, call.shown, cause._replace(since_ns=cause.since_ns or call.opened_ns))
                )
                break
    if len(p.open) > CALLS_MAX:
        rows.append(_row(look, p, depth, 0, "", Cause("more", f"{len(p.open) - CALLS_MAX} more calls are open")))
    return rows or [_row(look, p, depth, 0, "", Cause("nothing", "it waits for nothing: its program works"))]


def _row(look: Look, p: Process | None, depth: int, n: int, call: str, cause: Cause) -> CauseRow:
    return CauseRow(
        depth=depth, pid=p.pid if p is not None else 0, name=p.name if p is not None else "", n=n, call=call,
        kind=cause.kind, text=cause.text, since_ns=cause.since_ns, help=list(cause.help), leads=list(cause.leads),
    )  # fmt: skip
