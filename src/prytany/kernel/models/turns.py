"""Turns at models: how the kernel's open calls meet the scheduler (decisions 130 and 131).

    intent ─▶ may it begin at once? ─ yes ─▶ `model.reserved` in the same entry ─▶ its attempt
                     └─ no ─▶ `model.queued` ─▶ [scheduler] ─▶ `model.reserved` ─▶ its attempt ─▶ over
                                    ▲                                                │
                                    └────────────── a further attempt ◀──────────────┘

A call's key is the entry of its intent. What the scheduler says is carried out here, in one entry each: the
reservation, or the stop of a process that no budget pays for. What is queued is in the journal, and the order is
decided again by each kernel; what was decided stands in the journal as the order of reservations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prytany.abi import events as ev
from prytany.abi.errors import Eagain, KernelPanic
from prytany.abi.qos import Qos
from prytany.kernel.accounts import accounts_of
from prytany.kernel.alarm import Alarm
from prytany.kernel.exceeding import exceeded
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.models.asking import Asking
from prytany.kernel.models.endpoints import ModelEndpoints
from prytany.kernel.models.fleeing import Core as Fled
from prytany.kernel.models.fleeing import flee
from prytany.kernel.models.giving_way import GivingWay
from prytany.kernel.models.pauses import Pauses
from prytany.kernel.models.reserve import begins, elsewhere, waits
from prytany.ports.clock import Clock
from prytany.ports.model import Told
from prytany.process.process import Process, Reservation, State
from prytany.scheduling.budgets import Amount
from prytany.scheduling.call import Call
from prytany.scheduling.run_queue import Used
from prytany.scheduling.scheduler import Wanted
from prytany.scheduling.twins import TwinScheduler

CANCELLED = Used(cause="cancelled")


class Turn(NamedTuple):
    """What was decided of a call that is made: its event, and what the scheduler is told once that is recorded."""

    event: ev.ModelReserved | ev.ModelQueued
    wanted: Wanted
    asking: Asking | None = None
    """Of one that may be spared."""

    @property
    def begins(self) -> bool:
        """Whether it begins in the entry of its intent."""
        return type(self.event) is ev.ModelReserved


class Core(Fled, Protocol):
    """The kernel, as turns see it."""

    ledger: Ledger
    closing: bool

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...

    def failed(self, error: BaseException, at: str) -> None:
        """What nobody waits for has failed; that stops the kernel."""
        ...


class ModelTurns:
    """See the module."""

    def __init__(self, kernel: Core, clock: Clock) -> None:
        self._k = kernel
        self._pauses = Pauses(clock)
        self.scheduler = TwinScheduler(kernel.ledger.state.budgets)
        self.endpoints = ModelEndpoints(kernel, self.scheduler)
        self.giving_way = GivingWay()
        self.held = False
        """Nothing begins any more: the kernel is to stop."""
        self._keys: dict[int, dict[int, int]] = {}
        """The calls that the scheduler knows, by process and number."""
        self._beginning: set[int] = set()
        """The calls whose turn has come, by key, where that is not durable."""
        self.anew: set[int] = set()
        """The calls that an earlier kernel recorded and this one let begin, by key."""
        self._between: dict[int, Wanted] = {}
        """The calls of which an attempt has ended without an answer, by key, until they wait for another."""
        self._retrying: dict[int, asyncio.Future[None]] = {}
        """The effects that wait to make a further attempt, by key."""
        self.asking: dict[int, Asking] = {}
        """The calls that may be spared, by key; see `model_sparing`."""
        self._alarm = Alarm(clock, self.fill, kernel.lost)
        self._filling: asyncio.Handle | None = None

    # What handlers ask.

    def ask(
        self, process: Process, n: int, most: ev.ModelReserved, needs: Sequence[str], asking: Asking | None = None
    ) -> Turn:  # fmt: skip
        """Whether a call that is being made begins now, or waits; nothing is changed. Raises Eagain: the queue is full.

        Args:
            process: who makes it.
            n: its number.
            most: the most that it can take, without accounts.
            needs: features without which a model is no use to it.
            asking: of one that may be spared: it waits for another that is the same and under way.
        """
        now_ns = self._k.ledger.now_ns()
        wanted = self._wanted(process, n, 0, most, tuple(needs))
        wanted.same = asking.same if asking is not None else b""
        if self.scheduler.at_once(wanted, now_ns):
            if wanted.accounts:
                most = begins(process.pid, n, most, wanted.accounts)
            return Turn(most, wanted, asking)
        if self.scheduler.queues[most.endpoint].full and not self.scheduler.joins(wanted):
            raise Eagain(f"too many calls wait for the model {most.model!r}; ask again later")
        return Turn(waits(process.pid, n, most), wanted, asking)

    def spared(self, process: Process, n: int, most: ev.ModelReserved, asking: Asking) -> Turn:
        """Of a call that is never offered."""
        return Turn(waits(process.pid, n, most), self._wanted(process, n, 0, most, None), asking)

    def ask_again(self, process: Process, n: int, most: Reservation) -> Turn:
        """The same of an open call that is to be made again; one that waited once is never refused."""
        wanted = self._wanted(process, n, process.open[n].seq, most, None)
        if self.scheduler.at_once(wanted, self._k.ledger.now_ns()):
            return Turn(begins(process.pid, n, most, wanted.accounts), wanted)
        return Turn(waits(process.pid, n, most), wanted)

    def made(self, turn: Turn, key: int, *, again: bool = False) -> None:
        """That is recorded, of the call that entry `key` opened; `again` where that is an earlier entry."""
        wanted, now_ns = turn.wanted, self._k.ledger.now_ns()
        wanted.call.key = key
        if again:
            self._between.pop(key, None)
        if turn.asking is not None:
            self.asking[key] = turn.asking
        if turn.begins:
            self._keys.setdefault(wanted.call.agent, {})[wanted.n] = key
            self.scheduler.admit(wanted, now_ns)
            if again:
                self._begins(key)
        else:
            self._offer(wanted, now_ns)

    # What happens.

    def over(self, key: int, used: Used, told: Told | None = None) -> None:
        """The attempt at call `key` has ended, or will never be made; what it took is recorded in this step. `told` is
        what its endpoint said of its limits."""
        asking = self.scheduler.get(key) if used.cause else None
        illness = self.endpoints.illness(asking.endpoint) if asking is not None else None
        wanted = self.scheduler.settled(key, used, self._k.ledger.now_ns())
        if wanted is None:
            return
        if told is not None:
            self.endpoints.heard(wanted.endpoint, told)
        if illness is not None and self.endpoints.illness(wanted.endpoint) != illness:
            flee(self._k, self, wanted.endpoint)
        if used.cause:
            self._between[key] = wanted
        else:
            estimates = self.scheduler.queues[wanted.endpoint].estimates
            estimates.learn(wanted.kind, wanted.prompt_most, used.prompt, used.completion)
        self.fill_soon()

    def offer(self, process: Process, n: int, needs: tuple[str, ...] | None = None) -> None:
        """An open call that the journal says is queued waits from here on; one that does already stays where it is, and
        one that pauses does when that is over. Only where its `needs` are known it goes to who stands in."""
        call = process.open[n]
        if call.reserved is None or call.seq in self._pauses or self.scheduler.get(call.seq) is not None:
            return
        had = self._between.pop(call.seq, None)
        wanted = self._wanted(process, n, call.seq, call.reserved, had.needs if had is not None else needs)
        wanted.call.offered_ns = call.queued_ns
        if had is not None and had.endpoint == wanted.endpoint:
            wanted.call.offered_ns, wanted.call.refusals = had.call.offered_ns, had.call.refusals
            wanted.call.yielded, wanted.call.delivered = had.call.yielded, had.call.delivered
        self._offer(wanted, self._k.ledger.now_ns())

    async def again(self, process: Process, n: int, pause_ns: int) -> None:
        """Return when a further attempt at open call `n`, which is queued, may begin: its turn is after the pause."""
        call = process.open.get(n)
        if call is None:
            return
        turn = self._retrying[call.seq] = asyncio.get_running_loop().create_future()
        try:
            if pause_ns:
                await self._pauses.rest(call.seq, pause_ns)
            if process.open.get(n) is call and process.state is not State.STOPPED:
                self.offer(process, n)
            await turn
        finally:
            del self._retrying[call.seq]

    def moved(self, process: Process, n: int, endpoint: str, needs: tuple[str, ...]) -> None:
        """Open call `n`, which waits for its turn, waits at another endpoint."""
        self.scheduler.cancel(process.open[n].seq, self._k.ledger.now_ns())
        self._forget(process.pid, n)
        self._k.ledger.commit(self.queued_at(process, n, endpoint), {})
        self.offer(process, n, needs)

    def queued_at(self, process: Process, n: int, endpoint: str) -> tuple[ev.Event, ...]:
        """That open call `n` waits for a further attempt, at `endpoint`."""
        call, model = process.open[n], self._k.endpoint(endpoint)
        if call.reserved is None or model is None:
            return ()
        most = call.reserved
        if endpoint != most.endpoint:
            most = elsewhere(most, model, endpoint)
        return (waits(process.pid, n, most),)

    def begun(self, key: int) -> bool:
        """The reservation of call `key` is durable; whether an effect waited for it, and goes on."""
        self._beginning.discard(key)
        turn = self._retrying.get(key)
        if turn is None:
            return False
        if not turn.done():
            turn.set_result(None)
        return True

    def left(self, pid: int, n: int) -> None:
        """Call `n` of a process has ended: it waits no longer, and no attempt at it is under way."""
        own = self._keys.get(pid)
        if own is None or (key := own.pop(n, None)) is None:
            return
        if not own:
            del self._keys[pid]
        self._beginning.discard(key)
        asking = self.asking.pop(key, None)
        self.anew.discard(key)
        self._between.pop(key, None)
        self.giving_way.forget(key)
        if asking is not None or self.scheduler.get(key) is not None:  # else it was settled, and nobody waits for it
            now_ns = self._k.ledger.now_ns()
            if self.scheduler.cancel(key, now_ns) is None:
                self.scheduler.settled(key, CANCELLED, now_ns)
        self.fill_soon()

    def key_of(self, pid: int, n: int) -> int:
        """The key of a call that the scheduler knows; 0 for one that it does not."""
        return self._keys.get(pid, {}).get(n, 0)

    def left_all(self, pid: int) -> None:
        """All calls of a process have ended."""
        for n in list(self._keys.get(pid, ())):
            self.left(pid, n)

    def stopped(self, pid: int) -> None:
        """A process was stopped: what of it waits does so no longer, until it goes on."""
        for n, key in list(self._keys.get(pid, {}).items()):
            if self.scheduler.cancel(key, self._k.ledger.now_ns()) is not None:
                self._forget(pid, n)
        self.fill_soon()

    def expects(self, process: Process, n: int) -> bool:
        """Whether open call `n`, of which no attempt is under way, waits for its turn, or has it and is about to begin.
        One that was to begin and did not, is here no more."""
        key = process.open[n].seq
        if self.scheduler.get(key) is None:
            return False
        if key in self._beginning or self.scheduler.waits(key):
            return True
        self.left(process.pid, n)
        return False

    def scheduled(self, process: Process) -> None:
        """It has another class, weight or deadline: so have its calls that wait."""
        now_ns = self._k.ledger.now_ns()
        for n, key in list(self._keys.get(process.pid, {}).items()):
            wanted = self.scheduler.get(key)
            if wanted is not None and n in process.open:
                self.scheduler.change(
                    key, now_ns, qos=Qos(process.qos), weight=process.weight, deadline_ns=process.deadline_ns
                )
        self.fill_soon()

    def added(self, account: str) -> None:
        """An account has more, or other bounds."""
        self.scheduler.added(account)
        self.fill_soon()

    def look(self, endpoint: str) -> None:
        """The operator may have said something else of an endpoint."""
        self.endpoints.look(endpoint)
        self.fill_soon()

    # Carrying out.

    def fill_soon(self) -> None:
        """`fill`, when what is being done is done."""
        if self._filling is None and self.scheduler.anybody_waits and not self._k.closing:
            self._filling = asyncio.get_running_loop().call_soon(self._fill)

    def fill(self) -> None:
        """Let begin what may; costs what begins, whoever waits.

        Raises:
            KernelPanic: it failed; that is nobody's doing for whose sake it is done.
        """
        if self._filling is not None:
            self._filling.cancel()
            self._filling = None
        if self._k.closing or self.held:
            return
        now_ns = self._k.ledger.now_ns()
        try:
            while (decision := self.scheduler.next(now_ns)) is not None:
                wanted = decision.wanted
                pid, n, key = wanted.call.agent, wanted.n, wanted.call.key
                process = self._k.table.get(pid)
                call = process.open.get(n) if process is not None else None
                if process is None or call is None or call.seq != key or call.reserved is None:
                    self._drop(pid, n, key, now_ns)  # it ended, and that is not durable yet
                elif process.state is State.STOPPED:
                    self._drop(pid, n, key, now_ns)
                elif decision.begins:
                    self._k.ledger.commit((begins(pid, n, call.reserved, wanted.accounts),), {})
                    self.scheduler.begun(key, now_ns)
                    self._begins(key)
                else:
                    self._forget(pid, n)
                    self._k.ledger.commit(exceeded(self._k.table, process, decision.verdict), {}, reserve=True)
        except Exception as error:
            raise KernelPanic("calls of models whose turn has come could not be let begin") from error
        self._alarm.set(self.scheduler.when(now_ns))
        for key in self.scheduler.giving_way(now_ns):
            self.giving_way.tell(key)

    async def close(self) -> None:
        """Nothing begins any more."""
        if self._filling is not None:
            self._filling.cancel()
        await self._alarm.close()

    # Within.

    def _fill(self) -> None:
        try:
            self.fill()
        except KernelPanic as error:
            self._k.failed(error, "calls of models cannot begin")

    def _begins(self, key: int) -> None:
        self._beginning.add(key)
        if key <= self._k.ledger.begun_at:
            self.anew.add(key)

    def _drop(self, pid: int, n: int, key: int, now_ns: int) -> None:
        if self._keys.get(pid, {}).get(n) == key:
            self._forget(pid, n)
        self.scheduler.cancel(key, now_ns)

    def _forget(self, pid: int, n: int) -> None:
        own = self._keys.get(pid)
        if own is not None:
            self.asking.pop(own.pop(n, 0), None)
            if not own:
                del self._keys[pid]

    def _offer(self, wanted: Wanted, now_ns: int) -> None:
        self._keys.setdefault(wanted.call.agent, {})[wanted.n] = wanted.call.key
        self.scheduler.offer(wanted, now_ns)
        self.fill_soon()

    def _wanted(
        self, process: Process, n: int, key: int, most: ev.ModelReserved | Reservation, needs: tuple[str, ...] | None
    ) -> Wanted:  # fmt: skip
        queue = self.endpoints.open(most.endpoint)
        # Of an embedding there is no answer to learn the length of; one program makes both.
        kind = process.program if most.completion_tokens else f"{process.program} embeds"
        prompt, completion = queue.estimates.guess(kind, most.prompt_tokens, most.completion_tokens)
        call = Call(
            key, process.pid, Qos(process.qos), prompt, completion, process.weight, process.deadline_ns, TENANT,
            kind, most.prompt_tokens, most.completion_tokens, queue.estimates.edition,
        )  # fmt: skip
        amount = Amount(most.prompt_tokens + most.completion_tokens, most.cost_usd_micros, 1)
        asking, accounts = self.asking.get(key), accounts_of(self._k.ledger.state, process)
        same = asking.same if asking is not None else b""
        return Wanted(call, most.endpoint, accounts, amount, n, kind, most.prompt_tokens, needs, same)
