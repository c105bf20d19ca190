"""A fleet's agents are started by name, by whom it says, with what it grants each; and a crash changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Enoent, Eperm, KernelError
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.userland.process import Process
from tests.simulation.fleet import StoppingStore
from tests.simulation.steered import UID, Home, Steered
from tests.simulation.tools import PATH, CountingTools

UNVEILED = {"/srv/in": "r"}


async def boss(proc: Process, *names: str) -> list[Any]:
    said: list[Any] = []
    for name in names:
        try:
            ended = await proc.wait(await proc.spawn(name, f"from {name}"))
            said.append(ended.result if ended.ok else ended.reason)
        except KernelError as error:
            said.append(error.errno)
    return said


async def reader(proc: Process, text: str) -> list[Any]:
    try:
        looked = await proc.calls.tool_call("shop.look", {"order": "a"})
    except KernelError as error:
        looked = error.errno
    try:
        paid = await proc.calls.tool_call("shop.pay", {"order": "b"})
    except KernelError as error:
        paid = error.errno
    return [text, looked, paid]


def agent(name: str, pledge: tuple[str, ...], **more: Any) -> Agent:
    return Agent(name, "inline", Program(name, name, b"# " + name.encode(), pledge), **more)


BOSS = agent("boss", ("proc",), spawns=["reader"])
READER = agent("reader", ("tools",), tools=["shop.look"], unveil=UNVEILED)
LONER = agent("loner", ("tools",))


def new_home() -> Home:
    home = Home({"boss": boss, "reader": reader, "loner": reader})
    home.tools[PATH] = CountingTools()
    return home


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 20))


def declare(steered: Steered, *agents: Agent, number: int = 0, stays: bool = False) -> int:
    return steered.kernel.fleet_operator.declare(
        "small", agents, models={}, tools=[PATH], resolved=b"{}", uid=UID, number=number, stays=stays
    )


def start(steered: Steered, number: int, name: str, *args: Any) -> int:
    return steered.kernel.fleet_operator.start(number, name, list(args), {}, uid=UID)


def test_an_agent_has_what_its_fleet_grants_it_whoever_starts_it() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        number = declare(steered, BOSS, READER, LONER)
        return (await steered.ended(start(steered, number, "boss", "reader")))["result"]

    assert steer(home, test) == [["from reader", "shop.look a done", "EPERM"]]
    (_, child) = (e for entry in home.entries() for e in entry.events if isinstance(e, ev.ProcessSpawned))
    assert (child.pledge, child.unveil, child.agent) == (["tools"], UNVEILED, "reader")


def test_tags_are_those_of_the_run_of_the_agent_and_of_who_started_it() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        number = declare(steered, BOSS._replace(tags=["b", "a"]), READER._replace(tags=["c"]))
        with pytest.raises(Einval):
            steered.kernel.fleet_operator.start(number, "boss", [], {}, uid=UID, tags=["\x1b[31m"])
        pid = steered.kernel.fleet_operator.start(number, "boss", ["reader"], {}, uid=UID, tags=["run", "a"])
        await steered.ended(pid)
        return steered.kernel.table.require(pid).tags

    assert steer(home, test) == ["a", "b", "run"]
    spawned = [e for entry in home.entries() for e in entry.events if isinstance(e, ev.ProcessSpawned)]
    assert [e.tags for e in spawned] == [["a", "b", "run"], ["a", "b", "c", "run"]]


def test_who_is_not_named_by_spawns_is_started_by_nobody_and_that_is_on_record() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        number = declare(steered, BOSS, READER, LONER)
        return (await steered.ended(start(steered, number, "boss", "loner", "boss", "nobody", "", "x" * 100_000)))[
            "result"
        ]

    assert steer(home, test) == ["EPERM"] * 5
    denied = [e for entry in home.entries() for e in entry.events if isinstance(e, ev.CallsDenied)]
    assert sum(len(e.ns) for e in denied) == 5


def test_a_caller_can_take_away_from_an_agent_and_not_add() -> None:
    async def asking(proc: Process) -> list[Any]:
        spawn = proc.calls.process_spawn
        fewer = await proc.wait(await spawn("reader", ["x"], {}, "", [], 0, []))
        said: list[Any] = [fewer.result]
        for pledge, tools in ((["net"], None), (["proc"], None), (None, ["shop.pay"])):
            with pytest.raises(Eperm) as caught:
                await spawn("reader", ["x"], {}, "", pledge, 0, tools)
            said.append(caught.value.message)
        return said

    home = new_home()
    home.programs["boss"] = asking

    async def test(steered: Steered) -> Any:
        return (await steered.ended(start(steered, declare(steered, BOSS, READER), "boss")))["result"]

    assert steer(home, test) == [
        ["x", "EPERM", "EPERM"],
        "the agent 'reader' has no pledge 'net'",
        "the agent 'reader' has no pledge 'proc'",
        "the agent 'reader' has no tool 'shop.pay'",
    ]


def test_a_process_of_no_fleet_starts_nobody_by_name() -> None:
    async def asking(proc: Process) -> str:
        try:
            await proc.spawn("reader", "x")
        except KernelError as error:
            return error.errno
        return "started"

    home = new_home()
    home.programs |= {"asking": asking}

    async def test(steered: Steered) -> Any:
        declare(steered, BOSS, READER)
        return (await steered.ended(steered.spawn("asking")))["result"]

    # In these tests every name is that of a program: it has the pledge of one, and no agent's rights.
    assert steer(home, test) != "EPERM"
    spawned = [e for entry in home.entries() for e in entry.events if isinstance(e, ev.ProcessSpawned)]
    assert all((e.fleet, e.agent) == (0, "") for e in spawned)


def test_a_fleet_that_is_brought_again_is_new_for_who_is_started_after_and_only_what_changed_is_recorded() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        number = declare(steered, BOSS, READER, stays=True)
        again = declare(steered, BOSS, agent("reader", ("tools",), tools=["shop.pay"]), number=number, stays=True)
        assert again == number
        return (await steered.ended(start(steered, number, "boss", "reader")))["result"]

    assert steer(home, test) == [["from reader", "EPERM", "shop.pay b done"]]
    declared = [e.name for entry in home.entries() for e in entry.events if isinstance(e, ev.AgentDeclared)]
    assert declared == ["boss", "reader", "reader"]


def test_an_agent_that_is_gone_from_the_file_is_started_no_more() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        number = declare(steered, BOSS, READER, stays=True)
        declare(steered, BOSS, number=number, stays=True)
        return (await steered.ended(start(steered, number, "boss", "reader")))["result"]

    assert steer(home, test) == ["EPERM"]


def test_what_cannot_be_declared_or_started_changes_nothing() -> None:
    home = new_home()

    async def test(steered: Steered) -> None:
        with pytest.raises(Enoent, match=r"has the tool 'shop\.steal'"):
            declare(steered, agent("reader", (), tools=["shop.steal"]))
        with pytest.raises(Enoent, match="has the model 'large'"):
            declare(steered, agent("reader", (), model="large"))
        with pytest.raises(Einval, match="no pledge 'everything'"):
            declare(steered, READER._replace(pledge=["everything"]))
        with pytest.raises(Enoent, match="no fleet 7"):
            declare(steered, BOSS, number=7)
        number = declare(steered, BOSS, READER)
        with pytest.raises(Enoent, match="no agent 'bos' in the fleet 'small'; there are boss, reader"):
            start(steered, number, "bos")
        with pytest.raises(Enoent, match="no fleet 9"):
            start(steered, 9, "boss")

    steer(home, test)
    assert len(home.entries()) == 2  # the kernel's start, and the fleet that was sound


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_goes_on_with_the_fleet_as_it_was(after_commit: bool) -> None:
    async def whole(steered: Steered) -> Any:
        if not steered.kernel.fleets.fleets:
            declare(steered, BOSS, READER)
        if not steered.kernel.table.processes:
            start(steered, 1, "boss", "reader", "loner")
        return (await steered.ended(1))["result"]

    home = new_home()
    expected = steer(home, whole)
    assert expected == [["from reader", "shop.look a done", "EPERM"], "EPERM"]
    head = home.store.reader().head()
    assert head is not None
    for stop_at in range(2, head.seq + 1):
        home = new_home()
        home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)

        async def crash(home: Home = home) -> None:
            async with home.life() as kernel:
                declare(kernel, BOSS, READER)
                start(kernel, 1, "boss", "reader", "loner")
                await kernel.stopped()

        with pytest.raises(Exception, match=f"at {stop_at}"):
            asyncio.run(asyncio.wait_for(crash(), 20))
        home.store = StoppingStore(home.store, 0, after_commit=False)
        assert steer(home, whole) == expected, f"stopped at {stop_at}"
