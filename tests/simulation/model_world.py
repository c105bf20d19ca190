"""What has to hold of every journal in which calls of models wait, begin and are paid for; and a fleet that tries it.

`check` folds a journal entry by entry. `World` draws, from a seed, programs that ask, cancel, spawn and begin again,
models that refuse and fail, a person who stops, kills, adds and settles, and machines that go out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from typing import Any, ClassVar

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import Bounds, Budget
from prytany.abi.errors import KernelError
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.abi.wire import PIECE
from prytany.kernel.exceeding import REASON
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.kernel.handlers.schedule import schedule
from prytany.kernel.kernel import Kernel
from prytany.kernel.state import ShardState
from prytany.ports.model import ModelFailure, ModelFeatures, ModelLimits, ModelRoute
from prytany.ports.runner import UTILITY, Host
from prytany.process.process import Process, State
from prytany.scheduling.budgets import NONE, NOTHING, Amount
from prytany.testing.limiters import LIMITERS, MINUTE_NS
from prytany.testing.model_traffic import Provider
from prytany.testing.virtual_shard import NumbersModel, VirtualShard
from tests.simulation.stepped import Calls, Stepped, SteppedWorker

KINDS = ("tokens", "usd_micros", "calls")
LIVES_MAX = 8
PIDS_MAX = 40
"""Who came later starts nobody, so that a world ends."""
BUDGETS = [None, {"tokens": 3_000}, {"calls": 2}, {"wall_s": 4}, {"per_minute": {"calls": 2}}]


class Attempts:
    """Each attempt begins once and ends once."""

    def __init__(self, concurrency: dict[str, int]) -> None:
        self._concurrency = concurrency
        self._under_way: dict[tuple[int, int], str] = {}
        self._left: set[tuple[int, int]] = set()
        """Those that a kernel died over."""
        self._answered: set[tuple[int, int]] = set()
        """The open calls that have their answer."""
        self.lost = 0
        self.drained: frozenset[int] = frozenset()
        """The last entries of kernels that had nothing under way when they stopped."""

    def see(self, seq: int, event: Any) -> None:
        """One event of entry `seq`."""
        match event:
            case ev.KernelStarted():
                assert seq - 1 not in self.drained or not self._under_way, f"entry {seq}: a drained kernel left some"
                self._left |= set(self._under_way)
                self._under_way.clear()
            case ev.ModelReserved(pid=pid, n=n, endpoint=endpoint):
                assert (pid, n) not in self._answered, f"entry {seq}: call {n} of {pid} is asked after its answer"
                assert (pid, n) not in self._under_way, f"entry {seq}: two attempts at once at call {n} of {pid}"
                assert (pid, n) not in self._left, f"entry {seq}: an attempt that a kernel died over was forgotten"
                self._under_way[pid, n] = endpoint
                most = self._concurrency.get(endpoint, 0)
                now = sum(other == endpoint for other in self._under_way.values())
                assert not most or now <= most, f"entry {seq}: {now} attempts at {endpoint}, which takes {most}"
            case ev.ModelUsed(pid=pid, n=n, cause="lost"):
                assert (pid, n) in self._left, f"entry {seq}: nothing was lost of call {n} of {pid}"
                self._left.discard((pid, n))
                self.lost += 1
            case ev.ModelUsed(pid=pid, n=n):
                known = (pid, n) in self._under_way or (pid, n) in self._left
                assert known, f"entry {seq}: no attempt ends at call {n} of {pid}: {event.cause}"
                self._under_way.pop((pid, n), None)
                self._left.discard((pid, n))
                if not event.cause:
                    self._answered.add((pid, n))
            case ev.ModelSpared(pid=pid, n=n):
                assert (pid, n) not in self._under_way, f"entry {seq}: call {n} of {pid} is spared and asked"
            case ev.ModelQueued(pid=pid, n=n):
                assert (pid, n) not in self._under_way, f"entry {seq}: call {n} of {pid} waits during its attempt"
                assert (pid, n) not in self._left, f"entry {seq}: a lost attempt of {pid} was not charged"
            case ev.CallClosed(pid=pid, n=n):
                self._under_way.pop((pid, n), None)
                self._left.discard((pid, n))
                self._answered.discard((pid, n))
            case ev.ProcessExited(pid=pid) | ev.ProcessFailed(pid=pid) | ev.ProcessExeced(pid=pid):
                self._ended(pid)
            case ev.ProcessUpgraded(pid=pid) | ev.ProcessReverted(pid=pid):
                self._ended(pid)
            case _:
                pass

    def _ended(self, pid: int) -> None:
        for own in [own for own in self._under_way if own[0] == pid]:
            del self._under_way[own]
        self._left = {own for own in self._left if own[0] != pid}
        self._answered = {own for own in self._answered if own[0] != pid}


def check_state(state: ShardState, where: str) -> None:
    """What holds after every entry."""
    held: dict[str, Amount] = {}
    for calls in state.budgets.held.values():
        for one in calls.values():
            for name in one.accounts:
                held[name] = held.get(name, NOTHING) + one.amount
    for name, account in state.budgets.accounts.items():
        assert account.reserved == held.get(name, NOTHING), f"{where}: {name} has set aside what nobody holds"
        for kind in KINDS:
            bound, spent = account.total.of(kind), account.spent.of(kind)
            assert bound == NONE or spent + account.reserved.of(kind) <= bound, f"{where}: {name} has too little {kind}"
    for process in state.table.processes.values():
        reserved = [c.reserved for c in process.open.values() if c.reserved is not None and not c.queued_ns]
        assert process.usage.reserved_prompt_tokens == sum(r.prompt_tokens for r in reserved), f"{where}: {process.pid}"
        assert process.busy == sum(not call.waits for call in process.open.values()), f"{where}: {process.pid} is busy"


def check_end(state: ShardState) -> None:
    """What holds when nobody is left."""
    if any(process.alive for process in state.table.processes.values()):
        return
    assert not any(process.open for process in state.table.processes.values()), "an open call of nobody"
    assert not any(state.budgets.held.values()), "a reservation of nobody"
    assert all(account.reserved == NOTHING for account in state.budgets.accounts.values())


def check(shard: VirtualShard, drained: frozenset[int] = frozenset()) -> Attempts:
    """The whole journal, entry by entry; and that snapshots say the same."""
    concurrency = {name: model.features.limits.concurrency for name, model in shard.models.items()}
    attempts, state = Attempts(concurrency), ShardState()
    attempts.drained = drained
    for row in shard.store.reader().rows(1):
        entry = ev.decode_entry(row.record)
        for event in entry.events:
            state.apply(row.seq, entry.time_ns, event)
            attempts.see(row.seq, event)
        state.charge(entry.payer, len(row.record) + entry.content_bytes)
        check_state(state, f"entry {row.seq}")
    check_end(state)
    assert fold_from_snapshot(shard.store.reader()).state.digest() == state.digest()
    assert fold_from_start(shard.store.reader()).state.digest() == state.digest()
    return attempts


class FailingModel(NumbersModel):
    """Fails now and then, and for a while always."""

    rng = Random(0)
    chance = 0.15
    ill = False
    kinds = ("timeout", "unreachable", "overloaded", "rate_limited", "no_model", "bad_key", "bad_request", "garbage")

    def fails(self, question: str) -> None:
        """See `NumbersModel`."""
        if self.ill or self.rng.random() < self.chance:
            kind = "unreachable" if self.ill else self.rng.choice(self.kinds)
            retryable = kind not in ("no_model", "bad_key", "bad_request")
            after_ms = self.rng.choice([None, 700]) if kind in ("rate_limited", "overloaded") else None
            raise ModelFailure(kind, "told to fail", retryable=retryable, retry_after_ms=after_ms)


class Walk:
    """One incarnation of a program of which the calls follow from its seed and from what it was given so far."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.seed, self.depth = seed, _ = start["args"]
        self.pid: int = start["pid"]
        self.given, self.migrating = bool(start.get("state")), start["migrating"]
        self.age: int = msgspec.msgpack.decode(start["state"]) if self.given else 0
        self.rng = Random(f"{seed} {self.age}")
        self.steps = self.rng.randrange(1, 9)
        self.made: int = start["base"]
        self.asked = 0
        self.open: dict[int, str] = {}
        self.questions: dict[int, str] = {}
        self.children: list[int] = []
        self.now_ns = 0

    def walk(self) -> Generator[Calls, tuple[int, Any], None]:
        """Its steps, one for each item."""
        n, value = 0, None
        while True:
            call = self.open.get(n, "")
            if value != PIECE:
                self.open.pop(n, None)
            if call == "model_chat" and isinstance(value, dict):
                self.hears(n, value)
            if call == "process_spawn" and isinstance(value, int):
                self.children.append(value)
            calls: Calls = [] if self.made else [("nop", b"")]
            while self.steps and (not self.open or self.rng.random() < 0.6):
                self.steps -= 1
                calls += self.draws()
            for made in calls:
                self.made += 1
                self.open[self.made] = made[0]
                if made[0] == "model_chat":
                    self.questions[self.made] = made[1][-1]["content"]
            if not self.open or (n and not self.steps and self.rng.random() < 0.05):
                if self.rng.random() < 0.2:
                    yield [("process_exit", 1, None, {"type": "ValueError", "message": "it fails"})]
                return
            n, value = yield calls

    def hears(self, n: int, answer: dict[str, Any]) -> None:
        """An answer is that of its question; a stream's came in pieces."""
        assert answer["text"] in (self.questions.pop(n), ""), n

    def draws(self) -> Calls:
        """What it does next."""
        rng = self.rng
        match rng.randrange(12):
            case 0 | 1 | 2 | 3:
                return [self.asks()]
            case 4 | 5:
                return [self.asks() for _ in range(rng.randrange(2, 5))]
            case 6:
                return [("timer_wait", self.now_ns + rng.randrange(4_000_000_000))]
            case 7 if self.open:
                return [("call_cancel", rng.choice(sorted(self.open)))]
            case 8 if self.depth < 3 and self.pid < PIDS_MAX:
                budget = rng.choice(
                    [None, {"tokens": 3_000}, {"calls": 2}, {"wall_s": 4}, {"per_minute": {"calls": 2}}]
                )
                args, qos = [rng.randrange(1 << 30), self.depth + 1], rng.choice(["", "background"])
                spawn: tuple[Any, ...] = (
                    "process_spawn",
                    ":walks",
                    args,
                    {},
                    "",
                    None,
                    rng.choice([0, 2]),
                    None,
                    qos,
                    0,
                    budget,
                )
                return [spawn for _ in range(rng.randrange(1, 4))]
            case 9 if self.children:
                return [("process_wait", self.children.pop(0))]
            case 10 if self.children:
                return [("process_signal", rng.choice(self.children), s) for s in rng.choice([(9,), (19, 18), (15,)])]
            case 11 if self.age < 2 and rng.random() < 0.3:
                return [("process_exec", msgspec.msgpack.encode(self.age + 1))]
            case _:
                qos = rng.choice(["", "interactive", "utility", "background"])
                return [("agent_schedule", 0, qos, rng.choice([0, 1, 5]), -1)]

    def asks(self) -> tuple[Any, ...]:
        """A call of a model."""
        rng = self.rng
        self.asked += 1
        question = f"{rng.randrange(1, 60)} {rng.randrange(1, 200)} {self.pid} {self.age} {self.asked}"
        options = {"max_tokens": 200, "stream": rng.random() < 0.2} if rng.random() < 0.7 else {}
        return "model_chat", [{"role": "user", "content": question}], "", options


class WalkingWorker(SteppedWorker):
    """It begins with all that a worker is told, and knows the time of what it was given last."""

    _runner: Walking

    def send(self, n: int, time_ns: int, errno: str, value: bytes) -> None:
        """See `runner.Worker`."""
        if n == 0:
            start = msgspec.msgpack.decode(value)
            self._n, self.walk = start["base"], self._runner.walks[start["program"]](start)
            self._runner.programs = {start["program"]: lambda *_: self.walk.walk()}
        self.walk.now_ns = time_ns
        super().send(n, time_ns, errno, value)

    def log(self, text: str) -> None:
        """A replay has to be what was recorded."""
        assert "EREPLAY" not in text, text


class Walking(Stepped):
    """Starts them, by the names of their programs."""

    def __init__(self, walks: dict[str, type[Walk]]) -> None:
        super().__init__({})
        self.walks = walks

    async def start(self, pid: int, item: bytes, host: Host, qos: int = UTILITY) -> SteppedWorker:
        """See `Runner`."""
        self.alive.add(pid)
        return WalkingWorker(self, pid, host)


class World:
    """One seed's."""

    walks: ClassVar[dict[str, type[Walk]]] = {"walks": Walk}
    programs: ClassVar[dict[str, Any]] = {"walks": None}

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        kind = rng.choice(sorted(LIMITERS))
        limiters = [("requests", LIMITERS[kind](90, MINUTE_NS, 1)), ("tokens", LIMITERS[kind](40_000, MINUTE_NS, 300))]
        preempts = rng.choice(["never", "undelivered", "saved"])
        said = ModelLimits(
            rng.choice([1, 2, 5]), rng.choice([0, 90, 200]), rng.choice([0, 40_000]), preempts=preempts
        )  # fmt: skip
        routes = (ModelRoute("c", (Qos.BACKGROUND,)), ModelRoute("b", budget_below_permille=200))
        able = ModelFeatures(streaming=True, tools=True, json_schema=True)
        self.models = {
            "m": FailingModel(
                "m", msgspec.structs.replace(able, limits=said, routes=routes, fallback=("b", "c")),
                Provider(limiters, said.concurrency, counts_refused=True, tell=rng.random() < 0.7),
            ),
            "b": FailingModel("b", msgspec.structs.replace(able, limits=ModelLimits(1, policy="round_robin"))),
            "c": FailingModel("c", ModelFeatures(limits=ModelLimits(3), fallback=("m",))),
        }  # fmt: skip
        self.changes_models()
        for model in self.models.values():
            model.rng = rng
        self.shard = VirtualShard(
            self.programs, dict(self.models), running_max=4, entropy=rng.randbytes, kind="python",
            pledge=("model", "proc", "ipc"), runners=lambda: {"python": Walking(self.walks)},
            durable_s=lambda: rng.uniform(0.0005, 0.05),
        )  # fmt: skip
        self.roots: list[int] = []
        self.ends: list[dict[str, Any]] | None = None
        self.live_digest = b""

    def changes_models(self) -> None:
        """What else its models are."""

    def run(self) -> None:
        """Until all roots have ended."""
        entries, limits.SNAPSHOT_ENTRIES = limits.SNAPSHOT_ENTRIES, 50
        try:
            while self.ends is None:
                self.ends = self.shard.run(self._live)
                self.between()
        finally:
            limits.SNAPSHOT_ENTRIES = entries

    def between(self) -> None:
        """What happens between two lives."""

    def begins(self, kernel: Kernel, budget: Budget) -> int:
        """A root that begins; its pid."""
        args = (self.rng.randrange(1 << 30), 0)
        return self.shard.spawn(kernel, "walks", *args, budget=budget, restarts=self.rng.choice([0, 1]))

    async def _live(self, kernel: Kernel) -> list[dict[str, Any]] | None:
        self.roots = [p.pid for p in kernel.table.processes.values() if p.pid == p.run]
        while len(self.roots) < 4:
            bounds = Bounds(tokens=self.rng.choice([-1, 2_500, 20_000]), calls=self.rng.choice([-1, 3]))
            budget = Budget(bounds, Bounds(calls=self.rng.choice([-1, -1, 4])))
            self.roots.append(self.begins(kernel, budget))
        ends = asyncio.gather(*(kernel.operator.wait_ended(pid) for pid in self.roots))
        person = asyncio.ensure_future(self._steers(kernel))
        last = self.shard.lives > LIVES_MAX
        try:
            found = await asyncio.wait_for(asyncio.shield(ends), None if last else self.rng.uniform(0.001, 30))
            journal = kernel.ledger.journal
            while journal.durable < journal.head.seq:  # who is not a root goes on meanwhile
                await journal.wait_durable(journal.head.seq)
            self.live_digest = kernel.ledger.state.digest()
            await asyncio.sleep(0)  # noqa: TID251 a turn, in which what was cancelled ends
            assert not kernel.closing
            self._nothing_left(kernel)
            return found
        except TimeoutError:
            assert not kernel.closing, "the kernel stopped"
            person.cancel()
            await self.stops(kernel)
            return None
        finally:
            person.cancel()
            ends.cancel()
            await asyncio.gather(person, ends, return_exceptions=True)

    async def stops(self, kernel: Kernel) -> None:
        """How a kernel's life ends before its work is done: the machine goes out."""

    def _nothing_left(self, kernel: Kernel) -> None:
        if any(p.alive for p in kernel.table.processes.values()):
            return
        turns = kernel.model_turns
        assert not turns._keys
        assert not turns._retrying
        assert not turns._beginning
        assert not turns.asking
        assert not turns._between
        assert not turns.giving_way._under_way
        assert not turns.giving_way._early
        assert not turns.scheduler._wanted
        assert not turns.scheduler.parked._account
        assert not turns.scheduler._groups
        assert not turns.scheduler._leads
        assert not turns.scheduler._following
        for name, queue in turns.scheduler.queues.items():
            assert not queue.running, name
            assert sum(queue.waiting()) == 0, name

    def commands(self, kernel: Kernel) -> None:
        """What else a person does now and then."""

    def leaves(self, process: Process) -> bool:
        """Whether a person leaves a stopped process as it is, for now."""
        return False

    async def _steers(self, kernel: Kernel) -> None:
        rng, table = self.rng, kernel.table
        while True:
            await asyncio.sleep(rng.uniform(0.01, 3))  # noqa: TID251 virtual
            for model in self.models.values():
                model.ill = rng.random() < 0.2
            for key in list(table.incidents):
                pid, _, n = key.split(":")
                with suppress(KernelError):
                    kernel.operator.settle(int(pid), int(n), rng.choice(["retry", "retry", "skip"]), None, uid=0)
            alive = [p for p in table.processes.values() if p.alive]
            stopped = [p for p in alive if p.state is State.STOPPED]
            self.commands(kernel)
            for process in stopped:
                with suppress(KernelError):
                    if self.leaves(process):
                        continue
                    if process.reason.startswith(REASON):
                        for name in kernel.accounts_of(process):
                            more = Bounds(*(max(0, b) and a for a, b in zip(
                                (5_000, 0, 3, 60_000), (lambda t: (t.tokens, -1, t.calls, t.wall_ms))(
                                    kernel.budgets.accounts[name].total), strict=True)))  # fmt: skip
                            kernel.exceeding.add(name, more, uid=0)
                    else:
                        kernel.operator.signal(process.pid, Signal.CONT, uid=0)
                        if rng.random() < 0.3:  # at once, in one batch
                            kernel.operator.signal(process.pid, Signal.STOP, uid=0)
                            kernel.operator.signal(process.pid, Signal.CONT, uid=0)
            for _ in range(rng.randrange(3)):
                if not alive:
                    break
                process, draw = rng.choice(alive), rng.random()
                with suppress(KernelError):
                    if draw < 0.4:
                        kernel.operator.signal(process.pid, Signal.STOP, uid=0)
                        if draw < 0.2:
                            kernel.operator.signal(process.pid, Signal.CONT, uid=0)
                    elif draw < 0.45:
                        kernel.operator.signal(process.pid, Signal.KILL, uid=0)
                    elif draw < 0.8 and process.alive:
                        kernel.ledger.commit(
                            (schedule(process, rng.choice(["interactive", "background"]), rng.randrange(4), -1, -1,
                                      kernel.now_ns()),), {},
                        )  # fmt: skip
