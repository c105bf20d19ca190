"""The run queue of one model endpoint: who waits for it, who is asking it, and who may begin now.

    offer ─▶ waiting ─ next, begin ─▶ under way ─ settle ─▶ gone
                ▲                        │
                └──── sent away ─────────┘         nothing is lost by a refusal

It owns what the endpoint can take: calls at once, requests and tokens a minute, its breaker. `next` says who may begin,
and that is all or nothing: a place, a request, its tokens, and a closed breaker. Only the first in the policy's order
is looked at. Where its tokens do not fit yet, nobody slips past it: it would wait for ever behind small ones.

Nothing here is folded. The order in which calls began is in the journal; what waits is made again from the intents that
have no beginning. The counters of a policy begin anew with a kernel, which forgives an agent at most the policy's
bound.

It holds no timer: `when` is the next time at which `next` may say something else by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from prytany.scheduling.breaker import FAILURES, Breaker
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.estimate import Estimates
from prytany.scheduling.pacing import PPM
from prytany.scheduling.policies import DEFAULT, POLICIES, Moment, Policy
from prytany.scheduling.preemption import QUANTUM_TOKENS, GivingWay, Preempts
from prytany.scheduling.rates import NO_LIMITS, Limits, Rates, Taken

TOKENS_MAX = 1 << 24
"""Of a prompt or an answer, as it is counted here: an endpoint that lies must not shut itself for others."""
QUEUE_MAX = 100_000
"""Calls that wait for one endpoint."""
SERVICE_NS = 1_000_000_000
"""Of a call, before any has ended."""
SERVICE_MEMORY = 32
"""Answers that the mean time of a call looks back over."""
SERVICE_GUESSED = 4
"""For how many answers that guess stands."""
CROWDED_PPM = 750_000
RISE = 4
"""An endpoint that had too many at once is asked for one more, each time that it answered so many times as many."""
UNKNOWN = frozenset({"timeout", "interrupted", "garbage", "crashed", "cancelled", "lost"})
"""Ends after which nobody knows what the endpoint did: what was expected of it stands."""


class Used(msgspec.Struct, frozen=True):
    """How an attempt ended. `cause` is empty for an answer, else the kind of the failure, or `cancelled`."""

    prompt: int = 0
    completion: int = 0
    cause: str = ""
    retry_after_ns: int | None = None


class Running(msgspec.Struct):
    """A call that is under way."""

    call: Call
    taken: Taken
    policy: Policy
    """Which began it."""


class RunQueue:
    """See the module."""

    def __init__(
        self,
        limits: Limits = NO_LIMITS,
        policy: str = DEFAULT,
        preempts: Preempts = Preempts.NEVER,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self.limits = limits
        self.policy: Policy = POLICIES[policy]()
        self.rates = Rates(limits)
        self.breaker = Breaker()
        self.estimates = Estimates()
        self.at_once = limits.concurrency
        """Calls under way, at most, as far as it is known; 0 for any number."""
        self.running: dict[int, Running] = {}
        self.served = self._risen = 0
        self._giving_way = GivingWay(preempts)
        self._waiting: dict[int, Call] = {}
        self._leaving: set[int] = set()
        self._by_qos = [0] * len(Qos)
        self._service_ns = SERVICE_NS * SERVICE_GUESSED
        self._timed = SERVICE_GUESSED
        """Answers that are in that sum."""
        self._begun_ns = 0
        """The sum of the times at which those began that are under way."""
        self._queue_max = queue_max

    # What is asked.

    def next(self, now_ns: int) -> Call | None:
        """Who may begin now; None when nobody waits, or may. To ask changes nothing."""
        if not self._room():
            return None
        call = self.policy.first(self.moment(now_ns))
        if call is None or self._ready_ns(call, now_ns) != now_ns:
            return None
        return call

    def when(self, now_ns: int) -> int | None:
        """The next time at which `next` may answer by itself, `now_ns` if it does now; None while only an end, or
        another call, can change anything."""
        if not self._room():
            return None
        call = self.policy.first(self.moment(now_ns))
        return None if call is None else self._ready_ns(call, now_ns)

    def takes(self, call: Call, now_ns: int) -> bool:
        """Whether a call that is not offered yet would be the next, and could begin now."""
        return not self._waiting and self._room() and self._ready_ns(call, now_ns) == now_ns

    def waits_for(self, now_ns: int) -> str:
        """What whoever is next waits for, for people; "" where it may begin, or nobody waits."""
        if not self._waiting:
            return ""
        if not self._room():
            return "a place"
        call = self.policy.first(self.moment(now_ns))
        assert call is not None
        if (whole_ns := self.breaker.ready_ns(now_ns)) is None or whole_ns > now_ns:
            return f"the endpoint, which is ill: {self.breaker.cause}"
        if self.rates.paused_ns > now_ns:
            return "the endpoint, which asked to be left alone"
        if self.rates.requests.ready_ns(1, now_ns) > now_ns:
            return "requests a minute"
        return "tokens a minute" if self.rates.tokens.ready_ns(call.tokens, now_ns) > now_ns else ""

    def leaves(self, key: int) -> None:
        """Whoever `gives_way` gave was told to; until it is settled, one fewer of those that wait needs another's."""
        self._giving_way.leaves(key)
        self._leaving.add(key)

    def gives_way(self, now_ns: int) -> Call | None:
        """Who is to give its place to whoever is next, if anybody: asked where nobody may begin. It is settled with
        the cause `preempted` and what it took, and offered again with what it has left."""
        if not self._waiting or self._room() or len(self._leaving) >= self._by_qos[Qos.INTERACTIVE]:
            return None
        call = self.policy.first(self.moment(now_ns))
        if call is None or self._ready_ns(call, now_ns) != now_ns:
            return None
        return self._giving_way.to(call)

    def delivered(self, key: int) -> None:
        """Something of the answer to a call that is under way has reached its agent."""
        self._giving_way.delivered(key)

    def turn_is_up(self, key: int, tokens: int, now_ns: int, quantum: int = QUANTUM_TOKENS) -> bool:
        """Whether a call that has generated `tokens` since it began leaves its place to who is next, which is of its
        own class or a more urgent one."""
        if not self._waiting or tokens < quantum or not self._giving_way.turn_is_up(key, tokens, quantum):
            return False
        call = self.policy.first(self.moment(now_ns))
        return call is not None and call.qos <= self.running[key].call.qos

    def preempts(self, preempts: Preempts) -> None:
        """Which generations give way from now on."""
        if preempts is not self._giving_way.preempts:
            self._giving_way = GivingWay(preempts)
            for running in self.running.values():
                self._giving_way.began(running.call)

    @property
    def full(self) -> bool:
        """No further call is taken: whoever asks gets EAGAIN."""
        return len(self._waiting) >= self._queue_max

    def waiting(self) -> list[int]:
        """How many wait, by class."""
        return list(self._by_qos)

    def is_waiting(self, key: int) -> bool:
        """Whether that call waits."""
        return key in self._waiting

    @property
    def service_ns(self) -> int:
        """The mean time that a call takes, of late."""
        return max(1, self._service_ns // self._timed)

    def moment(self, now_ns: int) -> Moment:
        """What policies are told. Until enough was answered to know better, a call takes what those that are under way
        have taken by now, at least: else nobody would have patience with the first long ones."""
        service_ns, count = self.service_ns, len(self.running)
        if count and self._timed < SERVICE_MEMORY:
            service_ns = max(service_ns, now_ns - self._begun_ns // count)
        return Moment(now_ns, service_ns, count)

    # What happens.

    def offer(self, call: Call, now_ns: int) -> None:
        """A call waits. One that was offered before keeps the time of that. Its key must not wait or be under way."""
        assert call.key not in self._waiting
        assert call.key not in self.running
        call.offered_ns = call.offered_ns or now_ns
        call.begun_ns = 0
        self._waiting[call.key] = call
        self._by_qos[call.qos] += 1
        self.policy.offer(call, self.moment(now_ns))

    def begin(self, call: Call, now_ns: int) -> None:
        """What `next` gave begins."""
        self._leave(call)
        self.policy.begin(call, self.moment(now_ns))
        self._begun(call, now_ns)

    def admit(self, call: Call, now_ns: int) -> None:
        """A call that was not offered begins, as `takes` allowed: nobody waits."""
        call.offered_ns = call.offered_ns or now_ns
        self.policy.admit(call)
        self._begun(call, now_ns)

    def settle(self, key: int, used: Used, now_ns: int) -> Call | None:
        """An attempt has ended; the call, which may be offered again, or None where it was not under way."""
        running = self.running.pop(key, None)
        if running is None:
            return None
        call, kind = running.call, used.cause
        self._begun_ns -= call.begun_ns
        self._giving_way.ended(key)
        self._leaving.discard(key)
        if kind not in UNKNOWN:
            prompt, completion = min(used.prompt, TOKENS_MAX), min(used.completion, TOKENS_MAX)
            self.rates.settle(running.taken, prompt + completion)
            running.policy.settle(call, prompt, completion)
        else:
            running.policy.settle(call, -1, -1)
        if kind in ("rate_limited", "overloaded"):
            self._refused(call, used, now_ns)
        if kind in FAILURES and used.retry_after_ns is None:
            self.breaker.failed(key, kind, now_ns)
        elif kind in ("cancelled", "lost", "preempted", "turn_is_up"):
            self.breaker.gone(key)
            call.yielded += kind == "preempted"
        else:
            self.breaker.succeeded(key)
        if not kind:
            self._answered(call, now_ns)
        return call

    def cancel(self, key: int, now_ns: int) -> Call | None:
        """A waiting call is wanted no more, or goes elsewhere; None where it does not wait. What is under way is
        settled instead."""
        call = self._waiting.get(key)
        if call is not None:
            self._leave(call)
            self.policy.withdraw(call)
        return call

    def change(
        self, keys: Iterable[int], now_ns: int, *, qos: Qos | None = None, weight: int = 0, deadline_ns: int = -1
    ) -> None:
        """Waiting calls get another class, weight or deadline: an agent was scheduled anew. Others are left alone."""
        for key in keys:
            if (call := self.cancel(key, now_ns)) is not None:
                call.qos = call.qos if qos is None else qos
                call.weight = weight or call.weight
                call.deadline_ns = call.deadline_ns if deadline_ns < 0 else deadline_ns
                self.offer(call, now_ns)

    def order_by(self, policy: str, now_ns: int) -> None:
        """Another policy from now on. What waits is put into its order; what is under way is settled in the old one."""
        self.policy = POLICIES[policy]()
        for call in self._waiting.values():
            self.policy.offer(call, self.moment(now_ns))

    def told(self, limits: Limits) -> None:
        """The operator says something else from now on; what was learned of the old limits is forgotten."""
        self.limits, self.at_once, self.rates.limits = limits, limits.concurrency, limits
        for pace, limit in (
            (self.rates.requests, limits.requests_per_minute),
            (self.rates.tokens, limits.tokens_per_minute),
        ):
            pace.limit, pace.share_ppm = limit, PPM
            pace.learned = pace.strict = False

    # Within.

    def _begun(self, call: Call, now_ns: int) -> None:
        call.begun_ns = now_ns
        self._begun_ns += now_ns
        self.breaker.begun(call.key)
        self._giving_way.began(call)
        self.running[call.key] = Running(call, self.rates.take(call.tokens, now_ns), self.policy)

    def _room(self) -> bool:
        return not self.at_once or len(self.running) < self.at_once

    def _ready_ns(self, call: Call, now_ns: int) -> int | None:
        if call.guessed != self.estimates.edition and call.prompt_most:
            # It waits since nobody knew what such calls take, and was counted as the most that it can.
            call.prompt, call.completion = self.estimates.guess(call.kind, call.prompt_most, call.answer_most)
            call.guessed = self.estimates.edition
        whole_ns = self.breaker.ready_ns(now_ns)
        return None if whole_ns is None else max(whole_ns, self.rates.ready_ns(call.tokens, now_ns))

    def _leave(self, call: Call) -> None:
        del self._waiting[call.key]
        self._by_qos[call.qos] -= 1

    def _answered(self, call: Call, now_ns: int) -> None:
        self.served += 1
        self.rates.succeeded(call.begun_ns, now_ns)
        took_ns = max(1, now_ns - call.begun_ns)
        if self._timed < SERVICE_MEMORY:
            self._timed += 1
            self._service_ns += took_ns
        else:
            self._service_ns += took_ns - self._service_ns // SERVICE_MEMORY
        most = self.limits.concurrency
        if self.at_once and (not most or self.at_once < most) and self.served - self._risen >= RISE * self.at_once:
            self.at_once, self._risen = self.at_once + 1, self.served

    def _refused(self, call: Call, used: Used, now_ns: int) -> None:
        """Sent away: for the rate, or for how many were under way at once. A refusal hardly ever says for which."""
        call.refusals += 1
        most = len(self.running) + 1
        if used.retry_after_ns is None and used.cause == "overloaded":
            self.rates.pause(now_ns)
            self._ask_less(max(1, most * CROWDED_PPM // PPM))
        elif used.retry_after_ns is None and most >= self.at_once > 1 and not self.rates.near(now_ns):
            self.rates.refusals += 1
            self._ask_less(most - 1)  # it took the others
        else:
            self.rates.refused(call.begun_ns, now_ns, used.retry_after_ns)

    def _ask_less(self, at_once: int) -> None:
        self.at_once, self._risen = min(self.at_once or at_once, at_once), self.served
