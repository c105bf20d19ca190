"""A kernel with supervision trees that do as they are told, and what must hold of its journal whatever they are told.

What is looked at is the journal alone, against the rules of OTP, written down here once more and otherwise than the
kernel has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.abi.supervision import HELD_NS
from prytany.kernel.fleets import Agent
from prytany.kernel.folding import fold, fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.kernel.outcome import Program
from prytany.process.process import State
from prytany.testing.virtual_shard import VirtualShard, passes
from prytany.userland.process import Process
from prytany.userland.server import Server

PERIOD_S = 30


async def node(proc: Process, spec: dict[str, Any]) -> str:
    """Supervises as its spec says, and does as it is told."""
    children: list[dict[str, Any]] = spec.get("children", [])
    if children:
        await proc.supervise(spec["strategy"], intensity=spec["intensity"], period_s=PERIOD_S)
    for child in children:
        given = {"restart": child["restart"], "shutdown_ms": child["shutdown_ms"]}
        if child.get("server"):
            await proc.spawn("Keeper", child, name=child["name"], **given)
        else:
            await proc.spawn("node", child, name=child["name"], **given)
    while True:
        message = await proc.receive()
        await message.done()
        if message.type == "fail":
            raise ValueError(spec["name"])
        if message.type == "return":
            return str(spec["name"])


async def leaf(proc: Process) -> str:
    """An agent of a group that does as it is told."""
    return await node(proc, {"name": "leaf"})


def declared(kernel: Kernel) -> int:
    """A fleet whose agents are leaves; its number."""
    program = Program("leaf", "leaf", b"# leaf", ("ipc", "proc"))
    kinds = ("permanent", "transient", "temporary")
    agents = [Agent(kind, "inline", program, restart=kind, shutdown_ms=50) for kind in kinds]
    return kernel.fleet_operator.declare("f", agents, models={}, tools=[], resolved=b"f", uid=0, stays=True)


class Keeper(Server):
    """A `Server` that supervises."""

    pledge = "ipc proc"
    state: int = 0

    async def init(self, proc: Process, spec: dict[str, Any]) -> int:
        children: list[dict[str, Any]] = spec.get("children", [])
        if children:
            await proc.supervise(spec["strategy"], intensity=spec["intensity"], period_s=PERIOD_S)
        for child in children:
            await proc.spawn(
                "node", child, name=child["name"], restart=child["restart"], shutdown_ms=child["shutdown_ms"]
            )
        return 0

    async def on_fail(self) -> None:
        if self.message.attempt == 1:
            raise ValueError("told to")

    async def on_return(self) -> None:
        return


def shard_of(seed: int = 0) -> VirtualShard:
    """A kernel that runs trees."""
    programs = {"node": node, "leaf": leaf, "Keeper": Keeper}
    return VirtualShard(
        programs,
        {},
        pledge=("ipc", "proc"),
        entropy=Random(seed).randbytes,
        running_max=100,
    )


def told(shard: VirtualShard, does: Callable[[Kernel], object], seconds: float, stop_at: int = 0) -> None:
    """One life: something is done, and time passes. Where it is to stop at an entry, it may be cut."""

    async def live(kernel: Kernel) -> bool:
        await passes(0.01)
        does(kernel)
        await passes(seconds)
        return True

    shard.run(live, stop_at)


def command(name: str, pid: int) -> Callable[[Kernel], None]:
    """What is done to a process; nothing where it cannot be."""

    def does(kernel: Kernel) -> None:
        try:
            if name in ("fail", "return"):
                kernel.operator.send(pid, name, {}, uid=0)
            else:
                kernel.operator.signal(pid, Signal[name], uid=0, judged=True)
        except KernelError:
            return

    return does


class Checked:
    """What the journal of a shard must keep to."""

    def __init__(self, shard: VirtualShard) -> None:
        self.entries = shard.entries()
        state, _ = fold(shard.store.reader())
        assert state.digest() == fold_from_start(shard.store.reader()).state.digest()
        self.state = state
        self.strategy: dict[int, ev.TreeDeclared] = {}
        self.children: dict[int, list[int]] = defaultdict(list)
        self.supervisor: dict[int, int] = {}
        self.restart: dict[int, str] = {}
        self.times: dict[int, list[int]] = defaultdict(list)
        self.ending: dict[int, ev.TreeEnding] = {}
        self.down: set[int] = set()
        """Who has no incarnation now."""

    def all(self) -> None:
        """Raise AssertionError where it does not."""
        for entry in self.entries:
            for event in entry.events:
                check = getattr(self, f"_{type(event).__name__}", None)
                if check is not None:
                    check(entry.time_ns, event)

    def settled(self) -> None:
        """Nothing is under way any more."""
        trees, table = self.state.trees, self.state.table
        assert not trees.due
        assert not trees.told, trees.told
        for found in trees.supervisors.values():
            assert not found.after, found
            assert not found.gone, found
            held = [pid for pid in found.children if table.require(pid).restart_ns == HELD_NS]
            stopped = table.require(found.pid).state is State.STOPPED
            assert stopped or not held, f"{held} are held for ever by {found.pid}"
            assert all(table.require(pid).alive for pid in found.children)
        alive = [p for p in table.processes.values() if p.alive and p.state is not State.STOPPED]
        for p in alive:
            assert p.parent == 0 or table.require(p.parent).alive, f"{p.pid} is left of {p.parent}"

    def _TreeDeclared(self, now_ns: int, e: ev.TreeDeclared) -> None:
        self.strategy[e.pid] = e

    def _ChildSupervised(self, now_ns: int, e: ev.ChildSupervised) -> None:
        self.children[e.supervisor].append(e.pid)
        self.supervisor[e.pid], self.restart[e.pid] = e.supervisor, e.restart
        self.down.add(e.pid)

    def _ChildDropped(self, now_ns: int, e: ev.ChildDropped) -> None:
        self.restart[e.pid] = "temporary"

    def _ChildRestarted(self, now_ns: int, e: ev.ChildRestarted) -> None:
        of = self.strategy[e.supervisor]
        times = self.times[e.supervisor]
        times.append(now_ns)
        lately = [at for at in times if at > now_ns - of.period_ms * 1_000_000]
        assert len(lately) <= of.intensity, f"{len(lately)} restarts of {e.supervisor} within its period"
        assert self.restart[e.pid] != "temporary"

    def _TreeEnding(self, now_ns: int, e: ev.TreeEnding) -> None:
        order = [pid for pid in reversed(self.children[e.supervisor]) if pid in e.pids]
        assert e.pids == order, f"{e.pids} are not the last first of {self.children[e.supervisor]}"
        self.ending[e.supervisor] = e

    def _ChildTold(self, now_ns: int, e: ev.ChildTold) -> None:
        supervisor = self.supervisor.get(e.pid, 0)
        ending = self.ending.get(supervisor)
        if ending is None or self.strategy[supervisor].strategy == "dynamic":
            return
        before = ending.pids[: ending.pids.index(e.pid)] if e.pid in ending.pids else []
        late = [pid for pid in before if pid not in self.down]
        assert not late, f"{e.pid} is told to end before {late}, which were started after it"

    def _ended(self, pid: int) -> None:
        self.down.add(pid)
        if pid in self.strategy:
            self.times[pid] = []

    def _ProcessFailed(self, now_ns: int, e: ev.ProcessFailed) -> None:
        self._ended(e.pid)

    def _ProcessCycled(self, now_ns: int, e: ev.ProcessCycled) -> None:
        self._ended(e.pid)

    def _ProcessExited(self, now_ns: int, e: ev.ProcessExited) -> None:
        self._ended(e.pid)
        if e.pid in self.supervisor:
            self.children[self.supervisor[e.pid]].remove(e.pid)

    def _ProcessReady(self, now_ns: int, e: ev.ProcessReady) -> None:
        supervisor = self.supervisor.get(e.pid)
        of = self.strategy.get(supervisor) if supervisor else None
        if of is not None and supervisor is not None and e.incarnation > 1:
            siblings = self.children[supervisor]
            after = siblings[siblings.index(e.pid) + 1 :]
            others = {"one_for_all": after, "rest_for_one": after}.get(of.strategy, [])
            up = [pid for pid in others if pid not in self.down]
            assert not up, f"{e.pid} begins again while {up} go on, by {of.strategy}"
        self.down.discard(e.pid)


def alive(shard: VirtualShard) -> Sequence[int]:
    """Who lives, as the journal says."""
    state, _ = fold(shard.store.reader())
    return [p.pid for p in state.table.processes.values() if p.alive]
