"""A small fleet of inline programs, on a store that can be stopped at any append."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import RUN_DEFAULT
from prytany.drivers.stores.memory import MemoryStore
from prytany.journal.digests import Keyring
from prytany.journal.writer import Journal
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold, fold_from_snapshot
from prytany.kernel.kernel import Kernel
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.outcome import Program, Programs
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelRequest, Usage
from prytany.ports.store import Body, Row, StoreError
from prytany.process.table import Table
from prytany.runtime.inline import InlineRunner
from prytany.userland.process import Process


class Powercut(StoreError):
    """The machine stopped."""


class StoppingStore(MemoryStore):
    """Commits entries one by one, and stops before or after the one of that number; what is in it stays."""

    def __init__(self, before: MemoryStore | None, stop_at: int, *, after_commit: bool) -> None:
        super().__init__()
        if before is not None:
            self.__dict__.update({k: v for k, v in before.__dict__.items() if not k.startswith("stop")})
        self.stop_at, self.after_commit = stop_at, after_commit

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        for row in rows:
            if self.stop_at and row.seq >= self.stop_at:
                if self.after_commit and row.seq == self.stop_at:
                    super().commit([row], bodies, reserve=reserve)
                raise Powercut(f"at {row.seq}")
            super().commit([row], bodies, reserve=reserve)
            bodies = ()


class Following:
    """A reader that is always at the newest."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.reader(), name)


class LogicalClock:
    """Every look is a microsecond later; a wait is over at the next turn."""

    def __init__(self, now_ns: int) -> None:
        self.time_ns = now_ns

    def now_ns(self) -> int:
        self.time_ns += 1_000
        return self.time_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        self.time_ns = max(self.time_ns, deadline_ns)


class OnlyChats:
    """What a model has beside answers, where nothing else is asked of it."""

    features = ModelFeatures(deterministic=True)

    def stream(self, request: ModelRequest) -> Any:
        raise AssertionError("not streamed")

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError("not embedded")

    async def close(self) -> None:
        return


class CountingModel(OnlyChats):
    """Answers with what it was asked, and counts by question."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        question = str(request.messages[-1]["content"])
        self.asked[question] += 1
        return ModelAnswer(f"answer to {question}", "stop", usage=Usage(3, 5))


async def child(proc: Process, name: str) -> str:
    first = await proc.llm(f"{name} one")
    await proc.nop(b"between")
    return first + " / " + await proc.llm(f"{name} two")


async def parent(proc: Process) -> list[str]:
    pids = [await proc.spawn("child", name) for name in ("a", "b", "c")]
    return [(await proc.wait(pid)).result for pid in pids]


async def hostile(proc: Process) -> list[str]:
    said: list[str] = []
    for _ in range(50):
        try:
            await proc.files.write("/etc/passwd", "x")
        except Exception as error:
            said.append(type(error).__name__)
    return said


PROGRAMS: dict[str, Any] = {"parent": parent, "child": child, "hostile": hostile}
PLEDGED = ("ipc", "model", "proc")
PLEDGES: dict[str, tuple[str, ...]] = {"parent": ("model", "proc"), "child": ("model",), "hostile": ()}


def offer(program: Any, *pledge: str) -> str:
    """Let fleets run `program`; its name."""
    PROGRAMS[program.__name__], PLEDGES[program.__name__] = program, pledge
    return str(program.__name__)


def find_program(target: str, beside: str) -> Program:
    return Program(target, target, b"# " + target.encode(), PLEDGES[target])


def _find_any(target: str, beside: str) -> Program:
    name = target.rpartition(":")[2]
    return Program(name, name, b"# " + name.encode(), tuple(PLEDGED), name[0].isupper())


def servers_as_functions(programs: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(program, "serve", program) for name, program in programs.items()}


def small_entropy(size: int) -> bytes:
    return bytes(range(size))


class Fleet:
    """One life of the kernel after another, on one store."""

    def __init__(
        self, root: str = "parent", programs: dict[str, Any] | None = None, *, quotas: Quotas = DEFAULT_QUOTAS
    ) -> None:
        """`programs` are functions or servers by name, each with all pledges; without, those above."""
        self.quotas = quotas
        self.budget = RUN_DEFAULT
        self.programs = servers_as_functions(programs or PROGRAMS)
        self.find = find_program if programs is None else _find_any
        self.programs_of: Programs | None = None
        """Where agents' programs are looked up, if not by `find`."""
        self.store: MemoryStore = MemoryStore()
        self.model = CountingModel()
        self.keyring = Keyring(small_entropy)
        self.keyring.admit(TENANT)
        self.root = root
        self.states: list[bytes] = []

    async def live(self, stop_at: int = 0, *, after_commit: bool = False) -> dict[str, Any] | None:
        """One life: the root's end, or None when the store stopped first."""
        store = StoppingStore(self.store, stop_at, after_commit=after_commit)
        self.store = store
        folded = fold_from_snapshot(store.reader())
        state = folded.state
        table = state.table
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[StoreError] = loop.create_future()
        clock = LogicalClock(table.time_ns)
        ledger = Ledger(state, self.keyring, clock, lambda entry: kernel.react(entry))
        reader: Any = Following(store)
        files: Any = None
        models: Any = {"": self.model, "counting": self.model}
        kernel = Kernel(
            ledger, Outside(clock, models, files), {"inline": InlineRunner(self.programs)}, reader, self.find,
            small_entropy, running_max=2, quotas=self.quotas, programs=self.programs_of,
        )  # fmt: skip
        self.kernel = kernel
        ledger.attach(Journal(store, loop, folded.head, ledger.on_durable, failed.set_result))
        ledger.snapshots.begin(folded)
        try:
            kernel.begin("test", 1)
            known = [p for p in table.processes.values() if p.parent == 0 and p.name == self.root]
            pid = (
                known[0].pid
                if known
                else kernel.operator.spawn(self.root, [], {}, uid=0, kind="inline", budget=self.budget)
            )
            ended = asyncio.ensure_future(kernel.operator.wait_ended(pid))
            first: list[asyncio.Future[Any]] = [ended, failed]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                ended.cancel()
                return None
            return ended.result()
        except Exception:
            if failed.done() or ledger.journal.failure is not None:
                return None
            raise
        finally:
            kernel.closing = True
            await kernel.close()

    def entries(self) -> list[ev.Entry]:
        """All that is in the journal."""
        return [ev.decode_entry(row.record) for row in self.store.reader().rows(1)]

    def table(self) -> Table:
        """The state at the head."""
        return fold(self.store.reader())[0].table
