"""G6 for tools: the kernel stops at every append; what is unsafe is begun once and asked about, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Epolicy, KernelError
from prytany.process.process import State
from prytany.userland.process import Process
from tests.simulation.fleet import StoppingStore
from tests.simulation.steered import Home, Steered
from tests.simulation.tools import PATH, CountingTools, manifest


async def shop(proc: Process) -> list[Any]:
    said = [await proc.calls.tool_call("shop.look", {"order": "a"})]
    for name in ("pay", "ship", "ship"):
        try:
            said.append(await proc.calls.tool_call(f"shop.{name}", {"order": f"a{len(said)}"}))
        except KernelError as error:
            said.append(error.errno)
    return said


UNDISTURBED = ["shop.look a done", "shop.pay a1 done", "shop.ship a2 done", "shop.ship a3 done"]


def home_of(**programs: Any) -> tuple[Home, CountingTools]:
    home = Home(programs, pledge=("tools", "proc"))
    tools = CountingTools()
    home.tools[PATH] = tools
    return home, tools


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 20))


def events_of(home: Home, kind: type) -> list[Any]:
    return [e for entry in home.entries() for e in entry.events if isinstance(e, kind)]


def test_a_run_that_is_left_alone_begins_each_call_once_and_records_its_class() -> None:
    home, tools = home_of(shop=shop)

    async def test(kernel: Steered) -> Any:
        return await kernel.ended(kernel.spawn("shop"))

    assert steer(home, test)["result"] == UNDISTURBED
    assert set(tools.begun.values()) == {1}
    granted = events_of(home, ev.ToolsGranted)
    assert [(e.run, e.path, e.tools) for e in granted] == [(1, PATH, ["shop.look", "shop.pay", "shop.ship"])]
    assert [(e.tool, e.effect) for e in events_of(home, ev.ToolCalled)][:3] == [
        ("shop.look", "pure"), ("shop.pay", "keyed"), ("shop.ship", "unsafe"),
    ]  # fmt: skip
    assert {e.manifest for e in events_of(home, ev.ToolCalled)} == {granted[0].manifest}


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("choice", ["skip", "retry"])
def test_a_kernel_that_stops_at_any_append_begins_no_unsafe_call_twice_unasked(after_commit: bool, choice: str) -> None:
    home, _ = home_of(shop=shop)

    async def spawn(kernel: Steered) -> Any:
        return await kernel.ended(kernel.spawn("shop"))

    steer(home, spawn)
    head = home.store.reader().head()
    assert head is not None
    doubts = 0
    for stop_at in range(2, head.seq + 1):
        doubts += swept(stop_at, after_commit, choice)
    assert doubts >= 2, "the sweep met no doubt: it tries nothing"


def swept(stop_at: int, after_commit: bool, choice: str) -> int:
    """One crash and one settled life after it; how many doubts came up."""
    home, tools = home_of(shop=shop)
    home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)

    async def crash() -> None:
        async with home.life() as kernel:
            kernel.spawn("shop")
            await kernel.stopped()

    with pytest.raises(Exception, match=f"at {stop_at}"):
        asyncio.run(asyncio.wait_for(crash(), 20))
    home.store = StoppingStore(home.store, 0, after_commit=False)
    begun = dict(tools.begun)
    asked: list[str] = []

    async def settle(kernel: Steered) -> Any:
        if not kernel.kernel.table.processes:
            kernel.spawn("shop")
        ended = asyncio.ensure_future(kernel.ended(1))
        while not ended.done():
            watch = asyncio.ensure_future(kernel.until(lambda: bool(kernel.kernel.table.incidents)))
            await asyncio.wait([ended, watch], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            for key in list(kernel.kernel.table.incidents):
                pid, kind, n = key.split(":")
                assert kind == "doubt"
                asked.append(key)
                assert dict(tools.begun) == begun, "a call in doubt was begun before anybody was asked"
                kernel.settle(int(pid), int(n), choice)
            begun.update(tools.begun)
        return ended.result()["result"]

    result = steer(home, settle)
    where = f"stopped at {stop_at}"
    twice = {what for what, count in tools.begun.items() if count > 1 and "ship" in what}
    assert len(twice) <= (len(asked) if choice == "retry" else 0), where
    assert len(asked) <= 1, where
    assert {len(set(keys)) for what, keys in tools.keys.items() if "pay" in what} == {1}, where
    assert "" not in tools.keys["shop.pay a1"], where
    if choice == "retry":
        assert result == UNDISTURBED, where
    else:
        assert result.count("EINDOUBT") == len(asked), where
    closed = [(e.pid, e.n) for e in events_of(home, ev.CallClosed)]
    assert len(closed) == len(set(closed)), where
    return len(asked)


async def one(proc: Process, name: str) -> Any:
    try:
        return await proc.calls.tool_call(name, {"order": "a"})
    except KernelError as error:
        return f"{error.errno} {error.detail.get('cause')}"


def test_a_process_that_dies_under_an_unsafe_call_leaves_it_in_doubt_while_the_kernel_lives() -> None:
    home, tools = home_of(one=one)
    tools.deaths["shop.ship"] = 1

    async def test(kernel: Steered) -> Any:
        pid = kernel.spawn("one", "shop.ship")
        await kernel.incident(pid, 1)
        assert kernel.process(pid).shown_state() == (State.WAITING, "an outcome in doubt")
        assert tools.begun["shop.ship a"] == 1
        kernel.settle(pid, 1, "retry")
        return await kernel.ended(pid)

    assert steer(home, test)["result"] == "shop.ship a done"
    assert tools.begun["shop.ship a"] == 2


@pytest.mark.parametrize("name", ["shop.look", "shop.pay"])
def test_what_may_be_made_again_is_and_a_bounded_number_of_times(name: str) -> None:
    home, tools = home_of(one=one)
    tools.deaths[name] = limits.TOOL_ATTEMPTS_MAX - 1

    async def test(kernel: Steered) -> Any:
        first = await kernel.ended(kernel.spawn("one", name))
        tools.deaths[name] = limits.TOOL_ATTEMPTS_MAX
        second = await kernel.ended(kernel.spawn("one", name))
        return first["result"], second["result"]

    assert steer(home, test) == (f"{name} a done", "ETOOL died")
    keys = tools.keys[f"{name} a"]
    assert len(keys) == 2 * limits.TOOL_ATTEMPTS_MAX
    assert len(set(keys)) == (2 if name == "shop.pay" else 1), "one key a call, and none for what needs none"


async def waiter(proc: Process, name: str) -> Any:
    return await proc.calls.tool_call(name, {"order": "a"})


async def impatient(proc: Process, name: str) -> Any:
    try:
        return await asyncio.wait_for(proc.calls.tool_call(name, {"order": "a"}), 0.01)
    except TimeoutError:
        return "gave up"


def test_calls_with_one_resource_run_one_at_a_time_in_the_order_they_came() -> None:
    home, tools = home_of(waiter=waiter)

    async def test(kernel: Steered) -> None:
        tools.gate = asyncio.Event()
        pids = [kernel.spawn("waiter", name) for name in ("shop.ship", "shop.pay", "shop.ship", "shop.look")]
        await kernel.until(lambda: all(kernel.process(pid).open for pid in pids))
        await kernel.until(lambda: sum(tools.begun.values()) == 2)
        assert tools.begun == {"shop.ship a": 1, "shop.look a": 1}, "what needs nothing does not wait"
        del tools.running["a"]
        tools.most = 0
        tools.gate.set()
        for pid in pids:
            await kernel.ended(pid)

    steer(home, test)
    assert [what.split()[0] for what in tools.order if "look" not in what] == ["shop.ship", "shop.pay", "shop.ship"]
    assert tools.most <= 1


def test_a_call_that_is_cancelled_or_whose_process_is_killed_gives_its_turn_on() -> None:
    home, tools = home_of(waiter=waiter, impatient=impatient)

    async def test(kernel: Steered) -> None:
        tools.gate = asyncio.Event()
        first = kernel.spawn("waiter", "shop.ship")
        second = kernel.spawn("impatient", "shop.pay")
        third = kernel.spawn("waiter", "shop.ship")
        assert (await kernel.ended(second))["result"] == "gave up"
        assert tools.begun["shop.pay a"] == 0
        kernel.kernel.operator.signal(first, 9, uid=0)
        await kernel.ended(first)
        tools.gate.set()
        assert (await kernel.ended(third))["result"] == "shop.ship a done"
        assert kernel.kernel.turns.queues == {}
        assert kernel.kernel.turns.calls == {}

    steer(home, test)


def test_an_unsafe_call_that_only_waited_in_a_crash_is_not_in_doubt() -> None:
    home, tools = home_of(waiter=waiter)

    async def crash(kernel: Steered) -> None:
        tools.gate = asyncio.Event()
        for _ in range(2):
            kernel.spawn("waiter", "shop.ship")
        await kernel.until(lambda: kernel.kernel.turns.get(2, 1) is not None and tools.begun["shop.ship a"] == 1)

    async def after(kernel: Steered) -> None:
        tools.gate = None
        await kernel.until(lambda: kernel.kernel.table.incidents.keys() == {"1:doubt:1"})
        assert tools.begun["shop.ship a"] == 1, "it waits on: the resource belongs to the call in doubt"
        kernel.settle(1, 1, "give", "by hand")
        assert (await kernel.ended(1))["result"] == "by hand"
        assert (await kernel.ended(2))["result"] == "shop.ship a done"

    steer(home, crash)
    steer(home, after)
    assert tools.begun["shop.ship a"] == 2


async def hostile(proc: Process) -> list[str]:
    said: list[str] = []
    attempts: list[tuple[Any, Any]] = [
        ("shop.burn", {}), ("", {}), ("../../x", {}), ("shop.look\x00", {}), ("__class__", {}), ("x" * 100_000, {}),
        ("shop.look", {}), ("shop.look", {"order": 1}), ("shop.look", {"order": "a", "extra": 1}),
        ("shop.look", {"order": "a", "count": True}), ("shop.look", {"order": None}), ("shop.look", {1: 2}),
        ("shop.look", []), ("shop.look", "a"), (7, {}),
    ]  # fmt: skip
    for name, arguments in attempts:
        try:
            said.append(str(await proc.calls.tool_call(name, arguments)))
        except KernelError as error:
            said.append(error.errno)
    return said


def test_what_was_not_granted_is_a_counted_denial_and_what_does_not_fit_is_einval() -> None:
    home, tools = home_of(hostile=hostile)

    async def test(kernel: Steered) -> Any:
        pid = kernel.spawn("hostile")
        ended = await kernel.ended(pid)
        assert kernel.process(pid).denied == {"tool_call EPERM": 6}
        return ended["result"]

    assert steer(home, test) == ["EPERM"] * 6 + ["EINVAL"] * 9
    assert not tools.begun
    assert len(events_of(home, ev.CallsDenied)) == 2


async def lists(proc: Process) -> Any:
    return [tool["name"] for tool in await proc.calls.tool_list()]


def test_a_run_sees_what_it_was_granted_and_one_without_tools_sees_none() -> None:
    home, _ = home_of(lists=lists, one=one)

    async def test(kernel: Steered) -> Any:
        first = await kernel.ended(kernel.spawn("lists"))
        operator = kernel.kernel.operator
        bare = await kernel.ended(operator.spawn("lists", [], {}, uid=0, kind="inline"))
        denied = await kernel.ended(operator.spawn("one", ["shop.look"], {}, uid=0, kind="inline"))
        return first["result"], bare["result"], denied["result"]

    assert steer(home, test) == (["shop.look", "shop.pay", "shop.ship"], [], "EPERM None")


def test_a_tool_that_is_not_loaded_or_not_what_it_was_is_epolicy_and_never_begun() -> None:
    home, tools = home_of(waiter=one)

    async def crash(kernel: Steered) -> None:
        kernel.spawn("waiter", "shop.look")

    steer(home, crash)
    changed = CountingTools()
    changed.manifests["shop.look"] = manifest("shop.look", "unsafe")
    home.tools[PATH] = changed

    async def after(kernel: Steered) -> Any:
        return (await kernel.ended(1))["result"]

    assert steer(home, after) == "EPOLICY None"
    assert not changed.begun
    assert not tools.begun


def test_files_that_are_not_loaded_and_names_that_are_there_twice_are_refused_at_the_start() -> None:
    home, _ = home_of(lists=lists)
    home.tools["/srv/other/shop.py"] = CountingTools("/srv/other/shop.py")

    async def test(kernel: Steered) -> None:
        spawn = kernel.kernel.operator.spawn
        head = kernel.kernel.ledger.journal.head
        with pytest.raises(Epolicy):
            spawn("lists", [], {}, uid=0, kind="inline", tools=["/srv/nowhere.py"])
        with pytest.raises(Einval):
            spawn("lists", [], {}, uid=0, kind="inline", tools=list(home.tools))
        assert kernel.kernel.ledger.journal.head == head
        pid = spawn("lists", [], {}, uid=0, kind="inline", tools=[PATH, PATH])
        assert len((await kernel.ended(pid))["result"]) == 3

    steer(home, test)


async def crowd(proc: Process) -> str:
    calls = [asyncio.ensure_future(waiter(proc, "shop.pay")) for _ in range(limits.TOOL_QUEUE_MAX + 1)]
    _, first = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
    said = {type(call.exception()).__name__ for call in calls if call.done()}
    for call in first:
        call.cancel()
    return ", ".join(sorted(said))


def test_the_queue_of_a_resource_is_bounded() -> None:
    home, tools = home_of(crowd=crowd)
    tools.gate = asyncio.Event()

    async def test(kernel: Steered) -> Any:
        return (await kernel.ended(kernel.spawn("crowd")))["result"]

    assert steer(home, test) == "Eagain"


def test_userland_names_tools_by_attribute_and_by_item() -> None:
    async def named(proc: Process) -> list[Any]:
        listed = [tool["effect"] for tool in await proc.tools.list()]
        return [await proc.tools.shop.look(order="x"), await proc.tools["shop.pay"](order="y"), *listed]

    home, _ = home_of(named=named)

    async def test(kernel: Steered) -> Any:
        return (await kernel.ended(kernel.spawn("named")))["result"]

    assert steer(home, test) == ["shop.look x done", "shop.pay y done", "pure", "keyed", "unsafe"]


async def family(proc: Process) -> list[Any]:
    given: list[Any] = [None, ["shop.look", "shop.ship"], [], ["shop.burn"], ["shop.look", 7]]
    said: list[Any] = []
    for tools in given:
        try:
            said.append((await proc.wait(await proc.spawn("child", tools=tools))).result)
        except KernelError as error:
            said.append(error.errno)
    return said


async def child(proc: Process) -> list[Any]:
    own = [tool["name"] for tool in await proc.tools.list()]
    try:
        said = await proc.tools.shop.pay(order="a")
    except KernelError as error:
        said = error.errno
    grandchild = await proc.wait(await proc.spawn("lists"))
    try:
        await proc.wait(await proc.spawn("lists", tools=["shop.pay"]))
        beyond = "given"
    except KernelError as error:
        beyond = error.errno
    return [own, said, grandchild.result == own, beyond]


def test_a_child_has_its_parents_tools_or_fewer_and_so_have_its_own_children() -> None:
    home, _ = home_of(family=family, child=child, lists=lists)

    async def test(kernel: Steered) -> Any:
        result = (await kernel.ended(kernel.spawn("family")))["result"]
        assert not kernel.kernel.ledger.state.grants.narrowed, "who was reaped is not kept"
        return result

    every = ["shop.look", "shop.pay", "shop.ship"]
    assert steer(home, test) == [
        [every, "shop.pay a done", True, "given"],
        [["shop.look", "shop.ship"], "EPERM", True, "EPERM"],
        [[], "EPERM", True, "EPERM"],
        "EPERM",
        "EINVAL",
    ]


async def stumbles(proc: Process) -> None:
    call = asyncio.ensure_future(waiter(proc, "shop.ship"))
    await proc.nop()
    call.cancel()
    raise ValueError("no")


def test_an_incarnation_that_fails_leaves_no_call_in_a_queue() -> None:
    home, tools = home_of(stumbles=stumbles, waiter=waiter)
    tools.gate = asyncio.Event()

    async def test(kernel: Steered) -> Any:
        pid = kernel.kernel.operator.spawn("stumbles", [], {}, uid=0, kind="inline", restarts=1, tools=[PATH])
        assert (await kernel.ended(pid))["status"] == 1
        assert kernel.kernel.turns.calls == {}
        assert kernel.kernel.turns.queues == {}
        assert tools.gate is not None
        tools.gate.set()
        return (await kernel.ended(kernel.spawn("waiter", "shop.ship")))["result"]

    assert steer(home, test) == "shop.ship a done"
    assert len(events_of(home, ev.ProcessFailed)) == 1
