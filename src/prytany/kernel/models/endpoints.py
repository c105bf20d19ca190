"""Models as the scheduler sees them: a queue an endpoint, with what its operator says of it now."""

from __future__ import annotations

from typing import Protocol

import msgspec

from prytany.kernel.ledger import Ledger
from prytany.ports.model import Allowance, Model, ModelFeatures, ModelLimits, Told
from prytany.scheduling.breaker import State
from prytany.scheduling.preemption import Preempts
from prytany.scheduling.rates import Limits
from prytany.scheduling.rates import Told as Heard
from prytany.scheduling.run_queue import RunQueue
from prytany.scheduling.scheduler import Scheduler


class Core(Protocol):
    """The kernel, as endpoints see it."""

    ledger: Ledger

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...


class ModelEndpoints:
    """By the kernel's names of models."""

    def __init__(self, kernel: Core, scheduler: Scheduler) -> None:
        self._k = kernel
        self._scheduler = scheduler
        self._said: dict[str, ModelLimits] = {}
        """What each endpoint's operator said when that was last looked at."""
        self._features: dict[str, ModelFeatures] = {}
        """Where that was read; the same again says the same."""

    def open(self, endpoint: str) -> RunQueue:
        """The queue of an endpoint, with what its operator says of it now."""
        model, known = self._k.endpoint(endpoint), self._said.get(endpoint)
        if model is not None:
            features = model.features
            if self._features.get(endpoint) is features:
                return self._scheduler.queues[endpoint]
            self._features[endpoint], said = features, _said(features)
        else:
            said = known or ModelLimits()
        if known == said:
            return self._scheduler.queues[endpoint]
        self._said[endpoint] = said
        limits = Limits(said.concurrency, said.requests_per_minute, said.tokens_per_minute)
        now_ns = self._k.ledger.now_ns()
        queue = self._scheduler.open(endpoint, limits, said.policy)
        queue.preempts(Preempts(said.preempts))
        if known is None:
            queue.rates.remember(self._k.ledger.state.asked.since(endpoint, now_ns))
        elif known.policy != said.policy:
            queue.order_by(said.policy, now_ns)
        return queue

    def look(self, endpoint: str) -> None:
        """The operator may have said something else of an endpoint."""
        if endpoint in self._said:
            self.open(endpoint)

    def waits_for(self, endpoint: str) -> bool:
        """Whether calls wait for an endpoint, or are under way there."""
        queue = self._scheduler.queues.get(endpoint)
        return queue is not None and (any(queue.waiting()) or bool(queue.running))

    def well(self, endpoint: str) -> bool:
        """Whether an endpoint can be asked now, as far as is known: it does not fail, or send calls away, again and
        again, and has not asked to be left alone for more than a minute."""
        queue = self._scheduler.queues.get(endpoint)
        now_ns = self._k.ledger.now_ns()
        if queue is not None and queue.rates.away(now_ns):
            return False
        if queue is None or queue.breaker.state(now_ns) is State.CLOSED:
            return True
        return queue.breaker.ready_ns(now_ns) == now_ns and queue.rates.paused_ns <= now_ns

    def illness(self, endpoint: str) -> tuple[int, bool]:
        """What says that an endpoint is not well, to be compared: when its breaker opened last, and whether it wants to
        be left alone for long."""
        queue = self._scheduler.queues.get(endpoint)
        return (queue.breaker.since_ns, queue.rates.away(self._k.ledger.now_ns())) if queue is not None else (0, False)

    def turn_is_up(self, key: int, tokens: int) -> bool:
        """Whether the attempt at call `key`, which has generated so many tokens in this turn, lets others."""
        wanted = self._scheduler.get(key)
        if wanted is None:
            return False
        return self._scheduler.queues[wanted.endpoint].turn_is_up(key, tokens, self._k.ledger.now_ns())

    def delivered(self, key: int) -> None:
        """Something of the answer to call `key` has gone to its process."""
        if (wanted := self._scheduler.get(key)) is not None:
            self._scheduler.queues[wanted.endpoint].delivered(key)

    def heard(self, endpoint: str, told: Told) -> None:
        """An endpoint said, beside an answer or a refusal, what may be asked of it."""
        self._scheduler.queues[endpoint].rates.told(
            self._k.ledger.now_ns(), requests=_allowance(told.requests), tokens=_allowance(told.tokens)
        )


def _allowance(said: Allowance | None) -> Heard | None:
    return None if said is None else Heard(said.limit, said.left, said.reset_ns)


def _said(features: ModelFeatures) -> ModelLimits:
    """What an operator says, and what follows from what the model is where nothing is said."""
    said = features.limits
    return msgspec.structs.replace(
        said,
        concurrency=said.concurrency or features.slots,
        preempts=said.preempts or ("saved" if features.saves_slots else "never"),
    )
