"""The queues at models, as `abi.control` shows them: what a kernel has in memory, or what its journal says where none
runs."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from prytany.abi.control import CALLS_SHOWN_MAX, ROWS_MAX, CallRow, PaceRow, QueueRow, SparedRow
from prytany.abi.qos import Qos
from prytany.kernel.state import ShardState
from prytany.process.process import OpenCall, Process
from prytany.scheduling.pacing import Pace
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.run_queue import RunQueue
from prytany.scheduling.scheduler import Wanted

if TYPE_CHECKING:  # who only looks at a home does without
    from prytany.kernel.effects.paced import Paced
    from prytany.kernel.model_sparing import ModelSparing
    from prytany.kernel.models.turns import ModelTurns
    from prytany.ports.model import Model


class Live(Protocol):
    """A kernel that runs, as those see it who show what it has in memory."""

    @property
    def model_turns(self) -> ModelTurns:
        """Who waits for models."""
        ...

    @property
    def model_sparing(self) -> ModelSparing:
        """Which calls were not made."""
        ...

    @property
    def paced(self) -> Paced:
        """Who waits for bytes a second."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...


def queue_rows(state: ShardState, live: Live | None, now_ns: int) -> list[QueueRow]:
    """The queues, those that most wait for first. Looks at each call that waits."""
    rows = _of_kernel(state, live, now_ns) if live is not None else _of_journal(state, now_ns)
    rows.sort(key=lambda row: (-sum(row.waiting.values()), -row.in_flight, row.endpoint))
    return rows[:ROWS_MAX]


def qos_name(qos: int) -> str:
    """A class by the name that people write."""
    return Qos(qos).name.lower()


def call_row(state: ShardState, p: Process, n: int, call: OpenCall, now_ns: int) -> CallRow:
    """A call that the journal says waits for its turn."""
    most, member = call.reserved, state.fleets.members.get(p.pid)
    agent = f"{state.fleets.fleets[member.fleet].name}.{member.agent}" if member is not None else ""
    since_ns = call.queued_ns or call.opened_ns
    return CallRow(
        pid=p.pid, n=n, name=p.name, agent=agent, qos=qos_name(p.qos), weight=p.weight, deadline_ns=p.deadline_ns,
        since_ns=since_ns, waited_us=max(0, now_ns - since_ns) // 1000,
        tokens=most.prompt_tokens + most.completion_tokens if most is not None else 0,
    )  # fmt: skip


def _wanted_row(state: ShardState, live: Live, wanted: Wanted, now_ns: int) -> CallRow | None:
    """A call that the scheduler has; None where it has ended, and that is not durable yet."""
    p, call = state.table.get(wanted.call.agent), wanted.call
    if p is None or wanted.n not in p.open:
        return None
    row = call_row(state, p, wanted.n, p.open[wanted.n], now_ns)
    row.qos, row.weight, row.deadline_ns = qos_name(call.qos), call.weight, call.deadline_ns
    row.since_ns, row.waited_us = call.offered_ns, max(0, now_ns - call.offered_ns) // 1000
    row.tokens, row.refusals = call.tokens, call.refusals
    row.account = live.model_turns.scheduler.parked.account(call.key)
    return row


def _of_kernel(state: ShardState, live: Live, now_ns: int) -> list[QueueRow]:
    scheduler = live.model_turns.scheduler
    waiting: dict[str, list[Wanted]] = {name: [] for name in scheduler.queues}
    for wanted in scheduler.waiting():
        waiting[wanted.endpoint].append(wanted)
    names, following = _names(state), Counter(wanted.endpoint for wanted in scheduler.following())
    rows: list[QueueRow] = []
    for name, queue in scheduler.queues.items():
        model, rates = live.endpoint(name), queue.rates
        found = waiting[name]
        row = QueueRow(
            endpoint=name, model=model.name if model is not None else "", names=names.get(name, []), live=True,
            policy=_policy(queue), waiting=_by_class(w.call.qos for w in found),
            parked=sum(1 for w in found if scheduler.parked.account(w.call.key)), in_flight=len(queue.running),
            at_once=queue.at_once, requests=_pace(rates.requests, now_ns), tokens=_pace(rates.tokens, now_ns),
            refusals=rates.refusals, paused_ns=rates.paused_ns if rates.paused_ns > now_ns else 0,
            breaker=queue.breaker.state(now_ns).value, breaker_cause=queue.breaker.cause,
            breaker_since_ns=queue.breaker.since_ns, served=queue.served, service_us=queue.service_ns // 1000,
            calls=_oldest(state, live, found, now_ns), now_ns=now_ns,
            spared=_spared(live, name, model, following[name]),
        )  # fmt: skip
        moment = queue.moment(now_ns)
        first = queue.policy.first(moment)
        head = scheduler.get(first.key) if first is not None else None
        if first is not None and head is not None:
            row.next, row.why = _wanted_row(state, live, head, now_ns), queue.policy.because(first, moment)
            row.waits_for, row.ready_ns = queue.waits_for(now_ns), queue.when(now_ns) or 0
        rows.append(row)
    return rows


def _spared(live: Live, endpoint: str, model: Model | None, waiting: int) -> SparedRow | None:
    found, said = live.model_sparing.spared(endpoint), model.features.limits if model is not None else None
    kept_max = said.answers_bytes if said is not None else 0
    if not kept_max and not (said is not None and said.coalesce) and not waiting and not found.kept and not found.twins:
        return None
    return SparedRow(
        waiting=waiting, twins=found.twins, hits=found.kept, misses=found.missed, tokens=found.tokens,
        cost_usd_micros=found.cost_usd_micros, answers=found.held, answers_bytes=found.held_bytes,
        answers_bytes_max=kept_max,
    )  # fmt: skip


def _oldest(state: ShardState, live: Live, found: list[Wanted], now_ns: int) -> list[CallRow]:
    oldest = heapq.nsmallest(CALLS_SHOWN_MAX, found, key=lambda w: (w.call.offered_ns, w.call.key))
    rows = (_wanted_row(state, live, wanted, now_ns) for wanted in oldest)
    return [row for row in rows if row is not None]


def _of_journal(state: ShardState, now_ns: int) -> list[QueueRow]:
    """What waits is queued again by the next kernel; what was asked of late is known, and no order yet."""
    found: dict[str, list[tuple[int, Process, int, OpenCall]]] = {}
    for p in state.table.processes.values():
        for n, call in p.open.items():
            if call.queued_ns and call.reserved is not None:
                found.setdefault(call.reserved.endpoint, []).append((call.seq, p, n, call))
    names = _names(state)
    rows: list[QueueRow] = []
    for name in dict.fromkeys((*found, *state.asked.endpoints)):
        calls, asked = found.get(name, []), state.asked.since(name, now_ns)
        if not calls and not asked:
            continue
        oldest = heapq.nsmallest(CALLS_SHOWN_MAX, calls, key=lambda one: one[0])
        rows.append(
            QueueRow(
                endpoint=name,
                model=_model_of(calls),
                names=names.get(name, []),
                live=False,
                waiting=_by_class(p.qos for _, p, _, _ in calls),
                requests=PaceRow(used=sum(s.requests for s in asked)),
                tokens=PaceRow(used=sum(s.tokens for s in asked)),
                calls=[call_row(state, p, n, call, now_ns) for _, p, n, call in oldest],
                now_ns=now_ns,
            )
        )
    return rows


def _model_of(calls: list[tuple[int, Process, int, OpenCall]]) -> str:
    reserved = calls[0][3].reserved if calls else None
    return reserved.model if reserved is not None else ""


def _by_class(classes: Iterable[int]) -> dict[str, int]:
    counted = dict.fromkeys(Qos, 0)
    for qos in classes:
        counted[Qos(qos)] += 1
    return {qos_name(qos): count for qos, count in counted.items()}


def _pace(pace: Pace, now_ns: int) -> PaceRow:
    used, allowed = pace.within_window(now_ns), pace.allowed
    left = max(0, allowed - used) if allowed else -1
    return PaceRow(limit=pace.limit, allowed=allowed, used=used, left=left, learned=pace.learned)


def _policy(queue: RunQueue) -> str:
    return next((name for name, make in POLICIES.items() if make is type(queue.policy)), type(queue.policy).__name__)


def _names(state: ShardState) -> Mapping[str, list[str]]:
    """What fleets call each model, by the kernel's name of it."""
    names: dict[str, list[str]] = {}
    for fleet in state.fleets.fleets.values():
        for own, name in fleet.models.items():
            names.setdefault(name, []).append(f"{fleet.name}.{own}")
    return names
