"""What processes take, and what is set aside for them."""

from __future__ import annotations

from collections.abc import Callable

from prytany.abi import events as ev
from prytany.process.process import OpenCall, Reservation, State, Usage
from prytany.process.table import Table


def give_back(usage: Usage, call: OpenCall) -> None:
    """Nothing is set aside for a call any more; nothing was while it waited for its turn."""
    if call.reserved is not None and not call.queued_ns:
        _hold(usage, call.reserved, -1)


def count_wait(usage: Usage, call: OpenCall, now_ns: int) -> None:
    """A call waits no longer for its turn, if it did."""
    if call.queued_ns:
        usage.queued_us += (now_ns - call.queued_ns) // 1000


def _hold(usage: Usage, reserved: Reservation, sign: int) -> None:
    usage.reserved_prompt_tokens += sign * reserved.prompt_tokens
    usage.reserved_completion_tokens += sign * reserved.completion_tokens
    usage.reserved_usd_micros += sign * reserved.cost_usd_micros


def _bound(e: ev.ModelQueued | ev.ModelReserved) -> Reservation:
    return Reservation(e.model, e.prompt_tokens, e.completion_tokens, e.cost_usd_micros, e.priced, e.endpoint)


def _queued(table: Table, seq: int, e: ev.ModelQueued) -> None:
    process = table.require(e.pid)
    call = process.open[e.n]
    waited = call.waits
    give_back(process.usage, call)
    call.reserved, call.asking = _bound(e), False
    call.queued_ns = call.queued_ns or table.time_ns
    if not waited:
        process.busy -= 1
    process.account(table.time_ns)


def _reserved(table: Table, seq: int, e: ev.ModelReserved) -> None:
    process = table.require(e.pid)
    call = process.open[e.n]
    give_back(process.usage, call)
    if call.queued_ns:
        count_wait(process.usage, call, table.time_ns)
        call.queued_ns = 0
        process.busy += 1
        if process.state is State.RUNNING:
            process.account(table.time_ns)
    call.reserved, call.asking = _bound(e), True
    _hold(process.usage, call.reserved, 1)


def _used(table: Table, seq: int, e: ev.ModelUsed) -> None:
    process = table.get(e.pid)
    if process is None:
        return  # a late result of a process that was reaped is still recorded
    if (call := process.open.get(e.n)) is not None:
        call.asking = False
    if e.cause == ev.HELD:
        return
    usage = process.usage
    usage.model_calls += e.cause != ev.PUT_ASIDE
    usage.prompt_tokens += e.prompt_tokens
    usage.completion_tokens += e.completion_tokens
    usage.cost_usd_micros += e.cost_usd_micros
    usage.model_us += e.took_us


def _accounted(table: Table, seq: int, e: ev.ProcessAccounted) -> None:
    # A worker may outlive its process's place in the table; what it took then counts for the run.
    if (process := table.get(e.pid)) is not None:
        process.usage.cpu_us += e.cpu_us
    elif (root := table.get(e.run)) is not None:
        root.below.cpu_us += e.cpu_us
    else:
        table.past.cpu_us += e.cpu_us


def _kernel_started(table: Table, seq: int, e: ev.KernelStarted) -> None:
    # While no kernel ran, nothing ran or waited.
    down_ns = table.time_ns - table.before_ns if table.before_ns else 0
    for pid in table.running:
        table.require(pid).mark_ns += down_ns


FOLDS: dict[type, Callable[[Table, int, ev.Event], None]] = {
    ev.ProcessAccounted: _accounted,  # type: ignore[dict-item]
    ev.KernelStarted: _kernel_started,  # type: ignore[dict-item]
    ev.ModelQueued: _queued,  # type: ignore[dict-item]
    ev.ModelReserved: _reserved,  # type: ignore[dict-item]
    ev.ModelUsed: _used,  # type: ignore[dict-item]
}
