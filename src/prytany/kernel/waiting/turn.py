"""A call that waits for its turn at a model: its place in the queue, and what the head of that waits for."""

from __future__ import annotations

from prytany.abi.ids import Pid, format_pid
from prytany.abi.qos import Qos
from prytany.kernel.queue_views import qos_name
from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import OpenCall, Process
from prytany.scheduling.call import Call
from prytany.scheduling.run_queue import RunQueue
from prytany.scheduling.scheduler import Wanted
from prytany.scheduling.words import span


def at_model(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Its place among those of its class, and who is next."""
    if not call.queued_ns or call.reserved is None:
        return None
    model, help_ = call.reserved.model, (f"schedule {format_pid(Pid(p.pid))} --qos interactive", "sched")
    if look.live is None:
        return Cause("turn", f"its turn at {model}, {qos_name(p.qos)}", call.queued_ns, help_[1:])
    scheduler = look.live.model_turns.scheduler
    wanted, queue = scheduler.get(call.seq), scheduler.queues.get(call.reserved.endpoint)
    if wanted is None or queue is None or not scheduler.waits(call.seq):
        return Cause("turn", f"a pause before the next attempt at {model}: the last one failed", call.queued_ns)
    if (other := look.live.model_sparing.waits_for(p, n)) is not None:
        text = f"the answer of {model} to the same call of {named(look, other[0])}, which was asked"
        return Cause("model", text, call.queued_ns, leads=other[:1] if other[0] != p.pid else ())
    first = queue.policy.first(queue.moment(look.now_ns))
    forward = p.qos != Qos.INTERACTIVE and (first is None or first.key != wanted.call.key)
    text = f"its turn at {model}: {_place(look, queue, wanted, first)}"
    return Cause("turn", text, call.queued_ns, help_ if forward else help_[1:])


def under_way(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """It has its turn: the model works on it."""
    if call.call not in ("model_chat", "model_embed") or call.reserved is None:
        return None
    return Cause("model", f"the answer of {call.reserved.model}, which was asked", call.opened_ns)


def _place(look: Look, queue: RunQueue, wanted: Wanted, first: Call | None) -> str:
    counts = [f"{count} {qos_name(qos)}" for qos, count in enumerate(queue.waiting()) if count]
    line = f"{qos_name(wanted.call.qos)}, one of {', '.join(counts) or 'none'} that wait"
    if first is None:
        return line
    what = _head_waits(look, queue)
    if first.key == wanted.call.key:
        return f"{line}; it is next, and {what}"
    return f"{line}; {named(look, first.agent)}, {qos_name(first.qos)}, is next, and {what}"


def _head_waits(look: Look, queue: RunQueue) -> str:
    what, now_ns = queue.waits_for(look.now_ns), look.now_ns
    if not what:
        return "begins now"
    if what == "a place":
        return f"waits for a place: {len(queue.running)} of {queue.at_once} calls are in flight"
    ready_ns = queue.when(now_ns)
    when = f", for {span(ready_ns - now_ns)}" if ready_ns is not None else ""
    return f"waits for {what}{when}"
