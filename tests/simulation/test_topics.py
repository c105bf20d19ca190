"""Events in a whole kernel: one update wakes many, the slow lose nothing silently, replays, crashes at every entry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.kernel.folding import fold_from_start
from prytany.testing.virtual_shard import VirtualShard
from prytany.userland.process import Process
from prytany.userland.server import Server
from prytany.userland.topics import on
from tests.simulation.shards import SHARDS

PLEDGE = ("ipc", "proc")


def shard_of(**programs: Any) -> VirtualShard:
    SHARDS.append(VirtualShard(programs, {}, pledge=PLEDGE))
    return SHARDS[-1]


def ends(shard: VirtualShard, program: str, stop_at: int = 0) -> Any:
    """What the root leaves; it goes on where an earlier life stopped."""

    async def does(kernel: Any) -> Any:
        roots = [p.pid for p in kernel.table.processes.values() if p.name == program]
        pid = roots[0] if roots else shard.spawn(kernel, program, model="")
        ended = await asyncio.wait_for(kernel.operator.wait_ended(pid), 1_000)
        assert ended["error"] is None, ended["error"]
        return ended["result"]

    return shard.run(does, stop_at)


class Risk(Server):
    state: list[Any] = []  # noqa: RUF012 each activation has its own copy

    @on("prices.*")
    async def price(self, topic: str, bid: float) -> None:
        self.state.append([topic, bid])

    async def on_tell(self) -> list[Any]:
        return self.state


async def trader(proc: Process) -> list[Any]:
    await proc.subscribe("prices.>")
    seen: list[Any] = []
    while len(seen) < 2:
        event = await proc.receive()
        seen.append([event.topic, event.body["bid"], event.type])
        await event.done()
    return seen


async def floor(proc: Process) -> list[Any]:
    risk = await proc.spawn("Risk")
    desk = await proc.spawn("trader")
    await proc.sleep(1)
    for bid in (1.0, 2.0):
        await proc.publish("prices.eurusd", bid=bid)
    await proc.publish("other.eurusd", bid=3.0)
    return [(await proc.wait(desk)).result, await proc.call(risk, "tell")]


EXPECTED = [
    [["prices.eurusd", 1.0, "event"], ["prices.eurusd", 2.0, "event"]],
    [["prices.eurusd", 1.0], ["prices.eurusd", 2.0]],
]


def test_one_price_wakes_the_risk_agent_and_the_trade_agent_in_one_entry() -> None:
    shard = shard_of(Risk=Risk, trader=trader, floor=floor)
    assert ends(shard, "floor") == EXPECTED
    together = [e for e in shard.entries() if sum(isinstance(x, ev.MessageTaken) for x in e.events) == 2]
    assert together
    assert len(shard.events(ev.TopicPublished)) == 3
    assert not shard.events(ev.MessageSent)[1:], "nothing was sent but the question"


def test_a_kernel_that_stops_at_any_entry_delivers_each_event_once() -> None:
    whole = shard_of(Risk=Risk, trader=trader, floor=floor)
    ends(whole, "floor")
    for stop_at in range(2, len(whole.entries())):
        shard = shard_of(Risk=Risk, trader=trader, floor=floor)
        ends(shard, "floor", stop_at)
        assert ends(shard, "floor") == EXPECTED, f"stopped at {stop_at}"
        folded = fold_from_start(shard.store.reader()).state.topics
        assert not folded.handing, f"stopped at {stop_at}"
        assert not folded.due, f"stopped at {stop_at}"


async def late(proc: Process, since: Any, count: int) -> list[Any]:
    """What a subscription gives first, and what comes after."""
    said = await proc.subscribe("a.>", since=since)
    got: list[Any] = []
    while len(got) < count:
        event = await proc.receive(timeout_ms=10_000)
        got.append(event.event)
        await event.done()
    return [said["gone"], got]


async def replays(proc: Process) -> list[Any]:
    for topic in ("a.x", "a.y", "b.z", "a.x"):
        await proc.publish(topic)
    found: list[Any] = []
    for since, count in ((None, 1), ("start", 4), ("last", 3), (2, 3), (99, 1), ({"time_ns": 1}, 4)):
        child = await proc.spawn("late", since, count)
        await proc.sleep(1)
        number = await proc.publish("a.new")
        ended = await proc.wait(child)
        found.append([[n if n < 5 else n - number for n in ended.result[1]] if ended.result else ended.error])
        await proc.publish("b.between")
    return found


def test_a_subscription_begins_where_it_says() -> None:
    found = ends(shard_of(replays=replays, late=late), "replays")
    assert found[0][0] == [0], "what comes"
    assert found[1][0][:3] == [1, 2, 4], "all of the log"
    assert found[4][0] == [0]
    assert found[2][0][0] == 2, "the last of a.y, then that of a.x"
    assert found[3][0][0] == 2
    assert found[5][0][0] == 1


async def slow(proc: Process, count: int) -> list[Any]:
    await proc.subscribe("a")
    await proc.sleep(100)
    got: list[Any] = []
    while True:
        try:
            event = await proc.receive(timeout_ms=5_000)
        except KernelError:
            return got
        got.append(event.body["n"] if event.topic else [event.type, event.body["count"]])
        await event.done()


async def floods(proc: Process, count: int) -> Any:
    child = await proc.spawn("slow", count)
    await proc.sleep(1)
    for n in range(count):
        await proc.publish("a", n=n)
    return (await proc.wait(child)).result


@pytest.mark.parametrize(("count", "missed"), [(10, 0), (25, 0), (60, 20)])
def test_a_slow_subscriber_gets_all_in_order_or_is_told_what_it_missed(
    count: int, missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAILBOX_MESSAGES_MAX", 20)
    monkeypatch.setattr(limits, "TOPIC_LOG_EVENTS_MAX", 20)

    async def main(proc: Process) -> Any:
        return await floods(proc, count)

    shard = shard_of(main=main, slow=slow)
    got = ends(shard, "main")
    told = [one for one in got if isinstance(one, list)]
    numbers = [one for one in got if isinstance(one, int)]
    assert told == ([["missed", missed]] if missed else [])
    assert numbers == sorted(set(numbers))
    assert len(numbers) + missed == count
    assert not fold_from_start(shard.store.reader()).state.topics.scope("run:1").behind


def test_topics_end_with_their_run_and_a_subscription_with_its_process() -> None:
    shard = shard_of(Risk=Risk, trader=trader, floor=floor)
    ends(shard, "floor")
    topics = fold_from_start(shard.store.reader()).state.topics
    assert list(topics.subscribers) in ([2], []), "the server lives on where it was not ended"


async def bad(proc: Process) -> list[str]:
    said: list[str] = []
    asks: list[tuple[str, tuple[Any, ...]]] = [
        ("topic_publish", ("a.*", {})), ("topic_publish", ("", {})), ("topic_publish", ("a b", {})),
        ("topic_publish", ("a", "x" * (limits.MESSAGE_BYTES_MAX + 5_000))), ("topic_subscribe", ("a.>.b",)),
        ("topic_subscribe", ("a", 0)), ("topic_subscribe", ("a", -1)), ("topic_subscribe", ("a", True)),
        ("topic_subscribe", ("a", "never")), ("topic_subscribe", ("a", {"time_ns": "x"})),
        ("topic_subscribe", ("a", {"time_ns": 1, "more": 2})), ("topic_subscribe", ("a", 1.5)),
        ("topic_subscribe", ("a", [1])), ("topic_publish", ("a",)), ("topic_subscribe", ()),
    ]  # fmt: skip
    for call, args in asks:
        try:
            await proc._call(call, args)
            said.append("none")
        except KernelError as error:
            said.append(error.errno)
    return said


def test_what_makes_no_sense_is_refused() -> None:
    assert set(ends(shard_of(bad=bad), "bad")) == {"EINVAL"}
