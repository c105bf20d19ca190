"""Who waits for a model or a budget is seen, told why, and let go on: on a kernel that runs, and in its journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import KEPT, RUN_DEFAULT, Bounds, Budget
from prytany.abi.control import CauseRow
from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.client import Client, attach
from prytany.drivers.models.scripted import ScriptedModel
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelLimits, ModelRequest
from prytany.runtime.inline import InlineRunner
from prytany.system.shard import Shard
from tests.surfaces.bad_input.sweep import Told, tell
from tests.surfaces.shards import DEADLINE_S, events_of, turns_until

NAMES = ("asks", "parent", "asked", "asker", "rests")
SMALL = Budget(Bounds(tokens=300))


class Held(ScriptedModel):
    """Answers when it is let, few at a time."""

    def __init__(self, at_once: int = 1) -> None:
        super().__init__()
        self.at_once = at_once
        self.let = asyncio.Event()
        self.asked: list[str] = []

    @property
    def features(self) -> ModelFeatures:
        return msgspec.structs.replace(super().features, limits=ModelLimits(concurrency=self.at_once))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        self.asked.append(str(request.messages[-1]["content"]))
        await self.let.wait()
        async for item in super().stream(request):
            yield item


async def asks(proc: Any, what: str) -> str:
    return str(await proc.llm(what))


async def parent(proc: Any) -> Any:
    """Has a child that may take less than it asks."""
    child = await proc.calls.process_spawn(":asks", ["of a child"], {}, "", ["model"], budget={"tokens": 300})
    return (await proc.wait(child)).result


async def asked(proc: Any) -> None:
    """Takes a message, and rests over it."""
    await proc.receive()
    await proc.calls.timer_wait(1 << 62)


async def asker(proc: Any) -> None:
    """Has a child, and asks it."""
    await proc.call(await proc.calls.process_spawn(":asked", [], {}, "", ["ipc"]), "forth")


async def rests(proc: Any) -> None:
    await proc.calls.timer_wait(1 << 62)


class Here:
    """A kernel in a home, a client of it, and the command line."""

    def __init__(self, shard: Shard, client: Client, home: Path, model: Held) -> None:
        self.shard, self.client, self.home, self.model = shard, client, home, model

    def start(self, name: str, *args: object, budget: Budget = RUN_DEFAULT, qos: Qos = Qos.UTILITY) -> int:
        return self.shard.kernel.operator.spawn(
            f"{self.home.parent / 'program.py'}:{name}", list(args), {}, uid=0, kind="inline", qos=qos,
            pledge=["proc", "model", "ipc"], budget=budget,
        )  # fmt: skip

    async def command(self, *words: str) -> Told:
        return await asyncio.to_thread(tell, *words, "--home", str(self.home))

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        told = await self.command(*words, "--json")
        assert told.code == 0, told.err
        return [json.loads(line) for line in told.out.splitlines()]

    async def until(self, pid: int, state: str) -> None:
        """A process is in that state, and that is durable."""
        table, journal = self.shard.kernel.table, self.shard.kernel.ledger.journal
        await turns_until(lambda: (p := table.get(pid)) is not None and p.shown_state()[0] == state)
        await journal.wait_durable(journal.head.seq)

    async def end(self, pid: int) -> Any:
        return (await self.shard.kernel.operator.wait_ended(pid))["result"]


def with_home(home: Path, body: Callable[[Here], Awaitable[None]], model: Held | None = None) -> None:
    program = home.parent / "program.py"
    program.write_text("".join(f"async def {name}(proc): ...\n" for name in NAMES))
    bodies: dict[str, Any] = {f"{program}:{name}": globals()[name] for name in NAMES}

    async def run() -> None:
        held = model or Held()
        shard = await Shard.open(home, {"": held}, runners=lambda logs: {"inline": InlineRunner(bodies)})
        client = await attach(home)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await body(Here(shard, client, home, held))
        finally:
            await client.close()
            await shard.close()

    asyncio.run(run())


def kinds(rows: list[CauseRow]) -> list[tuple[int, str]]:
    return [(row.pid, row.kind) for row in rows]


def test_what_a_budget_stops_is_seen_told_to_its_parent_and_goes_on_when_there_is_more(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        here.model.let.set()
        root = here.start("parent")
        await turns_until(lambda: root + 1 in here.shard.kernel.table.processes)
        child = root + 1
        await here.until(child, "stopped")
        assert any(
            isinstance(e, ev.ProcessSignalled) and (e.pid, e.signal, e.sender) == (root, Signal.CHLD, child)
            for e in events_of(here.shard)
        )
        (row,) = [row for row in await here.rows("ps") if row["pid"] == child]
        assert row["state"] == "stopped"
        assert row["reason"].startswith(f"budget: tree:{child} ")
        assert kinds(await here.client.why(root)) == [(root, "child"), (child, "budget")]
        told = await here.command("why", str(root))
        assert f"prytany budget {child} --add tokens=" in told.err
        assert "--add usd" not in told.err  # it is not bounded in that
        accounts = await here.client.budgets(child)
        assert [row.account for row in accounts] == [f"tree:{child}", f"run:{root}"]
        assert accounts[0].stopped == [child]
        assert accounts[0].left == {"tokens": 300}
        told = await here.command("budget", str(child), "--add", "tokens=10000")
        assert told.code == 0, told.err
        assert f"tree:{child} may take 10,300 tokens" in told.out  # the one that stopped it
        assert "1 process that stood still" in told.out
        assert "of a child" in str(await here.end(root))
        after = {row.account: row for row in await here.client.budgets(root)}
        assert after[f"run:{root}"].spent["tokens"] > 0
        assert after[f"run:{root}"].reserved["tokens"] == 0

    with_home(tmp_path / "home", body)


def test_who_waits_for_a_model_sees_its_place_and_is_brought_forward(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        first, second, third = (here.start("asks", f"call {n}") for n in range(3))
        await here.until(second, "waiting")
        await here.until(third, "waiting")
        (row,) = await here.client.queues()
        assert row.live
        assert (row.in_flight, row.at_once, row.policy) == (1, 1, "classes")
        assert row.waiting == {"interactive": 0, "initiated": 0, "utility": 2, "background": 0}
        assert row.next is not None
        assert row.next.pid == second
        assert row.waits_for == "a place"
        assert [call.pid for call in row.calls] == [second, third]
        assert kinds(await here.client.why(third)) == [(third, "turn")]
        assert f"process {second}" in (await here.client.why(third))[0].text
        assert (await here.client.why(third))[0].help == [f"schedule {third} --qos interactive", "sched"]
        assert (await here.client.why(second))[0].help == ["sched"]  # it is next: no class brings it forward
        assert kinds(await here.client.why(first)) == [(first, "model")]
        told = await here.command("schedule", str(third), "--qos", "interactive", "--weight", "3", "--deadline", "1h")
        assert told.out.startswith(f"process {third}: interactive, weight 3, a deadline in ")
        assert (await here.client.why(third))[0].help == ["sched"]
        (row,) = await here.client.queues()
        assert row.next is not None
        assert (row.next.pid, row.next.qos, row.next.weight) == (third, "interactive", 3)
        assert row.why.startswith("interactive is the highest class that waits")
        shown = await here.command("sched")
        assert f"next: process {third}" in shown.out
        assert "it waits for: a place" in shown.out
        assert "1 of 1" in (await here.command("models", "queue")).out
        (wide,) = [row for row in await here.rows("ps", "--wide") if row["pid"] == third]
        assert wide["qos"] == "interactive"
        assert wide["queued_us"] > 0
        here.model.let.set()
        for pid in (first, second, third):
            await here.end(pid)
        assert here.model.asked == ["call 0", "call 2", "call 1"]
        assert [(e.qos, e.weight) for e in events_of(here.shard) if isinstance(e, ev.ProcessScheduled)] == [(0, 3)]
        assert (await here.rows("cost"))[-1]["queued_us"] > 0

    with_home(tmp_path / "home", body)


def test_a_call_that_waits_for_what_another_has_set_aside_says_for_which_budget(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        await here.client.grant_budget(0, "tenant", Bounds(tokens=100_000), Bounds())
        first = here.start("asks", "first")
        await turns_until(lambda: here.model.asked)
        (call,) = here.shard.kernel.table.require(first).open.values()
        assert call.reserved is not None
        tokens = call.reserved.prompt_tokens + call.reserved.completion_tokens
        await here.client.grant_budget(0, "tenant", Bounds(tokens=tokens + 50), Bounds())
        second, third = here.start("asks", "second"), here.start("asks", "third")
        await here.until(third, "waiting")
        (account,) = [row for row in await here.client.budgets() if row.account == "tenant:0"]
        assert (account.reserved["tokens"], account.left["tokens"], account.waiting) == (tokens, 50, 2)
        (row,) = await here.client.queues()
        assert (row.parked, [call.account for call in row.calls]) == (2, ["tenant:0", "tenant:0"])
        (cause,) = await here.client.why(third)
        assert cause.kind == "budget"
        assert f"tenant:0 has left: 50 of {tokens + 50:,} tokens" in cause.text
        assert "1 other call waits for it" in cause.text
        assert f"process {second} is asked first" in cause.text
        assert cause.help[0].startswith(f"budget {third} --account tenant --add tokens=")
        here.model.let.set()
        for pid in (first, second, third):
            await here.end(pid)

    with_home(tmp_path / "home", body, Held(at_once=3))


@pytest.mark.parametrize(("minute", "needs", "more"), [
    (Bounds(calls=1), "0 of 1 calls a minute; it needs 1 call", "calls/min=2"),
    (Bounds(tokens=1_200), "it needs 1,1", "tokens/min=3000"),
])  # fmt: skip
def test_a_call_that_waits_for_a_minute_to_pass_says_of_what_and_how_to_widen_it(
    minute: Bounds, needs: str, more: str, tmp_path: Path
) -> None:
    async def body(here: Here) -> None:
        await here.client.grant_budget(0, "tenant", Bounds(), minute)
        first = here.start("asks", "first")
        await turns_until(lambda: here.model.asked)
        second = here.start("asks", "second")
        await here.until(second, "waiting")
        (cause,) = await here.client.why(second)
        assert cause.kind == "budget"
        assert needs in cause.text
        assert "by what is bounded a minute" in cause.text
        assert cause.help == [f"budget {second} --account tenant --set {more}"]
        told = await here.command(*cause.help[0].split())
        assert told.out.startswith("tenant:0 may take "), told.err
        await turns_until(lambda: len(here.model.asked) == 2)
        here.model.let.set()
        for pid in (first, second):
            await here.end(pid)

    with_home(tmp_path / "home", body, Held(at_once=3))


def test_who_waits_for_a_reply_waits_for_what_the_other_waits_for(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        other = here.start("asker")
        one = other + 1
        await turns_until(lambda: here.shard.kernel.post.box(one).in_hand)
        await here.until(one, "waiting")
        rows = await here.client.why(other)
        assert kinds(rows) == [(other, "reply"), (one, "timer")]
        assert [row.depth for row in rows] == [0, 1]
        assert "has the message in hand" in rows[0].text
        told = await here.command("why", str(other))
        assert f"└─ process {one}" in told.out

    with_home(tmp_path / "home", body)


def test_where_nothing_runs_the_journal_says_it_and_what_is_added_is_recorded(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def stops(here: Here) -> None:
        await here.until(here.start("asks", "once", budget=SMALL), "stopped")
        here.start("asks", "first")
        await here.until(here.start("asks", "second"), "waiting")

    with_home(home, stops)
    told = tell("why", "1", "--home", str(home))
    assert "it is stopped (budget: run:1" in told.out
    assert "nothing runs here" in told.err
    assert "prytany budget 1 --add tokens=" in told.err
    told = tell("sched", "--home", str(home))
    assert "1 utility" in told.out or "2 utility" in told.out
    assert "this is what the journal says" in told.err
    assert tell("models", "queue", "--json", "--home", str(home)).code == 0
    told = tell("budget", "1", "--add", "tokens=20000", "--home", str(home))
    assert told.code == 0, told.err
    assert "it is recorded" in told.err
    told = tell("schedule", "3", "--qos", "interactive", "--home", str(home))
    assert told.code == 0, told.err

    async def goes_on(here: Here) -> None:
        here.model.let.set()
        for pid in (1, 2, 3):
            assert await here.end(pid)

    with_home(home, goes_on)


def test_a_timer_and_a_message_are_causes_as_well(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        one, other = here.start("rests"), here.start("asked")
        await here.until(one, "waiting")
        await here.until(other, "waiting")
        assert kinds(await here.client.why(one)) == [(one, "timer")]
        assert kinds(await here.client.why(other)) == [(other, "message")]

    with_home(tmp_path / "home", body)


def test_commands_that_mean_no_budget_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        pid = here.start("rests", budget=Budget(Bounds(tokens=5)))
        await here.until(pid, "waiting")
        before = here.shard.kernel.ledger.journal.head.seq
        cases: list[tuple[type[KernelError], Awaitable[object]]] = [
            (Enoent, here.client.add_budget(pid, "tree", Bounds(tokens=1))),
            (Einval, here.client.add_budget(pid, "run", Bounds(usd_micros=1))),
            (Einval, here.client.add_budget(pid, "run", Bounds(tokens=0))),
            (Einval, here.client.add_budget(pid, "run", Bounds(tokens=1 << 50))),
            (Einval, here.client.add_budget(pid, "run", Bounds(tokens=1 << 62))),
            (Einval, here.client.add_budget(pid, "clan", Bounds(tokens=1))),
            (Einval, here.client.grant_budget(pid, "run", Bounds(tokens=-3), Bounds())),
            (Einval, here.client.grant_budget(pid, "run", Bounds(), Bounds(wall_ms=1))),
            (Einval, here.client.schedule(pid, "royal")),
            (Einval, here.client.schedule(pid, weight=1_001)),
            (Einval, here.client.schedule(pid, deadline_ms=-2)),
            (KernelError, here.client.schedule(99)),
            (KernelError, here.client.why(99)),
            (KernelError, here.client.budgets(99)),
        ]
        for error, asked in cases:
            with pytest.raises(error):
                await asked
        assert here.shard.kernel.ledger.journal.head.seq == before
        kept = await here.client.grant_budget(pid, "", Bounds(KEPT, 7, KEPT, KEPT), Bounds(tokens=9))
        assert (kept.total, kept.minute) == ({"tokens": 5, "usd_micros": 7}, {"tokens": 9})

    with_home(tmp_path / "home", body)


def test_what_is_bounded_otherwise_is_told_how_to_be_bounded_in_that(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        pid = here.start("rests", budget=Budget(Bounds(tokens=5)))
        await here.until(pid, "waiting")
        for amount, advised in (("wall=5m", "--set wall=1h"), ("usd=1", "--set usd=N"), ("calls=1", "--set calls=N")):
            told = await here.command("budget", str(pid), "--add", amount)
            assert told.code == 2
            assert f"prytany budget {pid} {advised}" in told.err
        here.shard.kernel.operator.signal(pid, Signal.KILL, uid=0)
        await here.shard.kernel.operator.wait_ended(pid)

    with_home(tmp_path / "home", body)


def test_the_time_of_what_has_ended_stands_still(tmp_path: Path) -> None:
    async def body(here: Here) -> None:
        pid = here.start("rests", budget=Budget(Bounds(wall_ms=3_600_000)))
        await here.until(pid, "waiting")
        here.shard.kernel.operator.signal(pid, Signal.KILL, uid=0)
        await here.shard.kernel.operator.wait_ended(pid)
        (account,) = await here.client.budgets()
        (ended,) = [row for row in await here.rows("ps", "--all") if row["pid"] == pid]
        assert not account.alive
        assert account.now_ns == ended["ended_ns"]
        assert account.spent["wall_ms"] == (account.now_ns - account.opened_ns) // 1_000_000

    with_home(tmp_path / "home", body)
