"""A process becomes another agent of its fleet: who waits for it, talks with it or sends to it goes on with that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import Bounds, Budget
from prytany.abi.errors import Edeadlk, Einval, Enoent, Eperm, KernelError
from prytany.abi.qos import Qos
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelRequest, Usage
from prytany.system.spending import spending
from prytany.userland.process import Process
from prytany.userland.server import Server
from tests.simulation.fleet import Following, OnlyChats, StoppingStore
from tests.simulation.steered import UID, Home, Steered


class Reciting(OnlyChats):
    """Answers with the roles and the last words of what it is asked, and keeps what that was."""

    name = "reciting"
    features = ModelFeatures(deterministic=True)

    def __init__(self) -> None:
        self.asked: list[list[dict[str, Any]]] = []

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked.append(request.messages)
        return ModelAnswer(f"re {request.messages[-1]['content']}", "stop", usage=Usage(3, 5))


async def sales(proc: Process, question: str) -> str:
    talk = proc.conversation("You sell.")
    await talk.llm(question)
    await proc.handoff("support", "it is broken", conversation=talk, variables={"order": 7}, reason="no sale")
    raise AssertionError("gone on")


async def support(proc: Process, more: str) -> list[Any]:
    handed = proc.handed
    assert handed is not None
    talk = handed.conversation
    assert talk is not None
    await talk.instruct("You mend.")
    answer = await talk.llm(more)
    said = [message.content for message in await talk.messages()]
    return [proc.pid, proc.name, handed.by, handed.reason, handed.variables, answer, said]


PLEDGE = ("model", "ipc")
SAID = ["You sell.", "my lamp", "re my lamp", "You mend.", "it is broken", "re it is broken"]
RESULT = [1, "support", "sales", "no sale", {"order": 7}, "re it is broken", SAID]


def agent(name: str, pledge: tuple[str, ...] = PLEDGE, **more: Any) -> Agent:
    return Agent(name, "inline", Program(name, name, b"# " + name.encode(), pledge), **more)


SALES = agent("sales", handoff=["support"], tags=["front"])
SUPPORT = agent("support", ("model",), tags=["back"], qos=int(Qos.BACKGROUND), weight=3, restarts=2)


def new_home(**programs: Any) -> Home:
    home = Home({"sales": sales, "support": support} | programs)
    model: Any = Reciting()
    home.model = model
    return home


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 20))


def declare(steered: Steered, *agents: Agent, number: int = 0, stays: bool = False) -> int:
    return steered.kernel.fleet_operator.declare(
        "desk", agents, models={}, tools=[], resolved=b"{}", uid=UID, number=number, stays=stays
    )


def start(steered: Steered, name: str, *args: Any, **more: Any) -> int:
    return steered.kernel.fleet_operator.start(1, name, list(args), {}, uid=UID, **more)


def run(home: Home, *agents: Agent, args: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The end of a run of the first of the agents."""

    async def test(steered: Steered) -> Any:
        declare(steered, *agents)
        return await steered.ended(start(steered, agents[0].name, *args))

    ended: dict[str, Any] = steer(home, test)
    return ended


def events(home: Home, *kinds: type) -> list[Any]:
    return [e for entry in home.entries() for e in entry.events if isinstance(e, kinds)]


def test_the_other_goes_on_with_the_conversation_the_variables_and_the_waiters() -> None:
    home = new_home()

    async def test(steered: Steered) -> Any:
        declare(steered, SALES, SUPPORT)
        pid = start(steered, "sales", "my lamp", tags=["night"])
        ended = await steered.ended(pid)
        p = steered.process(pid)
        return ended["result"], (p.name, p.pledge, p.tags, p.qos, p.weight, p.restarts)

    result, became = steer(home, test)
    assert result == RESULT
    assert became == ("support", ["model"], ["back", "night"], Qos.BACKGROUND, 3, 2)
    model: Any = home.model
    asked = model.asked[1]
    assert [m["content"] for m in asked] == ["You mend.", "my lamp", "re my lamp", "it is broken"]


def test_what_it_costs_does_not_grow_with_what_was_said() -> None:
    def bytes_of(turns: int) -> int:
        async def talker(proc: Process) -> None:
            talk = proc.conversation("You sell.")
            for turn in range(turns):
                await talk.append("user", f"{turn} {'x' * 1_000}")
            await proc.handoff("support", "more", conversation=talk)

        home = new_home(sales=talker)
        run(home, SALES, SUPPORT)
        (row,) = [row for row in home.store.reader().rows(1) if b"process.handed_off/" in row.record]
        return len(row.record) + len(row.bodies)

    assert bytes_of(200) <= bytes_of(2) + 8  # entries' numbers are longer
    assert bytes_of(2) < 1_000


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_goes_on_as_the_agent_that_it_was(after_commit: bool) -> None:
    async def whole(steered: Steered) -> Any:
        if not steered.kernel.fleets.fleets:
            declare(steered, SALES, SUPPORT)
        if not steered.kernel.table.processes:
            start(steered, "sales", "my lamp")
        return (await steered.ended(1))["result"]

    home = new_home()
    assert steer(home, whole) == RESULT
    head = home.store.reader().head()
    assert head is not None
    for stop_at in range(2, head.seq + 1):
        home = new_home()
        home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)

        async def crash(home: Home = home) -> None:
            async with home.life() as kernel:
                declare(kernel, SALES, SUPPORT)
                start(kernel, "sales", "my lamp")
                await kernel.stopped()

        with pytest.raises(Exception, match=f"at {stop_at}"):
            asyncio.run(asyncio.wait_for(crash(), 20))
        home.store = StoppingStore(home.store, 0, after_commit=False)
        assert steer(home, whole) == RESULT, f"stopped at {stop_at}"
        assert len(events(home, ev.ProcessHandedOff)) == 1, f"stopped at {stop_at}"


def test_who_is_not_named_is_not_become_and_the_refusal_is_recorded() -> None:
    async def asks(proc: Process, *names: str) -> list[str]:
        said: list[str] = []
        for name in names:
            try:
                await proc.handoff(name)
            except KernelError as error:
                said.append(error.errno)
        return said

    home = new_home(sales=asks)
    other = agent("other")
    ended = run(home, SALES, SUPPORT, other, args=("other", "sales", "nobody", "", "x" * 100_000, "\0"))
    assert ended["result"] == ["EPERM"] * 6
    assert sum(len(e.ns) for e in events(home, ev.CallsDenied)) == 6


def test_a_process_of_no_fleet_becomes_nobody() -> None:
    async def asks(proc: Process) -> str:
        with pytest.raises(Eperm):
            await proc.handoff("support")
        return "still here"

    home = new_home(asks=asks)

    async def test(steered: Steered) -> Any:
        declare(steered, SALES, SUPPORT)
        return (await steered.ended(steered.spawn("asks")))["result"]

    assert steer(home, test) == "still here"


def test_an_agent_that_was_withdrawn_is_become_no_more_and_who_became_it_goes_on() -> None:
    async def waits(proc: Process) -> str:
        message = await proc.receive()
        await message.done()
        try:
            await proc.handoff("support", "x")
        except Eperm:
            return "refused"
        return "never"

    home = new_home(sales=waits)

    async def test(steered: Steered) -> Any:
        number = declare(steered, SALES, SUPPORT, stays=True)
        pid = start(steered, "sales")
        declare(steered, SALES, number=number, stays=True)
        steered.kernel.operator.send(pid, "go", {}, uid=UID)
        return (await steered.ended(pid))["result"]

    assert steer(home, test) == "refused"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"context": 9}, Enoent),
        ({"context": -1}, Enoent),
        ({"variables": {"x": "y" * limits.HANDOFF_BYTES_MAX}}, Einval),
        ({"args": ["y" * limits.HANDOFF_BYTES_MAX]}, Einval),
        ({"reason": "y" * (limits.HANDOFF_REASON_BYTES_MAX + 1)}, Einval),
        ({"variables": [1]}, Einval),
        ({"heard": 1}, Einval),
        ({"context": "1"}, Einval),
    ],
)
def test_what_cannot_be_handed_over_is_refused_and_the_agent_goes_on(given: dict[str, Any], error: type) -> None:
    async def asks(proc: Process) -> str:
        with pytest.raises(error):
            await proc.calls.agent_handoff("support", **given)
        return "still here"

    assert run(new_home(sales=asks), SALES, SUPPORT)["result"] == "still here"


def test_agents_that_only_hand_over_to_each_other_are_stopped_in_it() -> None:
    async def ping(proc: Process) -> Any:
        try:
            await proc.handoff("support")
        except Edeadlk as error:
            return error.detail

    async def pong(proc: Process) -> None:
        await proc.handoff("sales")

    home = new_home(sales=ping, support=pong)
    ended = run(home, SALES, SUPPORT._replace(handoff=["sales"]))
    assert ended["result"] == {"cause": "handoffs"}
    assert len(events(home, ev.ProcessHandedOff)) == limits.HANDOFFS_MAX


def test_agents_that_do_something_in_between_may_go_on() -> None:
    rounds = limits.HANDOFFS_MAX + 4

    async def ping(proc: Process) -> Any:
        done = proc.handed.variables["done"] + 1 if proc.handed else 0
        if done == rounds:
            return done
        await proc.llm("something")
        await proc.handoff("support", variables={"done": done})

    async def pong(proc: Process) -> None:
        assert proc.handed is not None
        await proc.handoff("sales", variables=proc.handed.variables)

    assert run(new_home(sales=ping, support=pong), SALES, SUPPORT._replace(handoff=["sales"]))["result"] == rounds


class Desk(Server):
    """Answers who it is; hands over what it is asked for."""

    state: int = 0

    async def on_say(self, text: str) -> Any:
        self.state += 1
        if text.startswith("give ") and self.proc.name != "support":
            await self.proc.handoff("support", variables={"count": self.state})
        if text == "play":  # both play
            await self.proc.handoff("sales" if self.proc.name == "support" else "support")
        handed = self.proc.handed
        return [self.proc.name, text, self.message.attempt, self.state, handed.variables if handed else None]


def test_a_server_hands_over_the_message_in_hand_and_the_other_answers_it() -> None:
    async def root(proc: Process) -> list[Any]:
        desk = await proc.spawn("sales")
        said = [await proc.call(desk, "say", text=text) for text in ("hello", "give it", "and now")]
        try:
            await proc.call(desk, "say", text="play")
        except KernelError as error:
            said.append(error.errno)
        return [*said, (await proc.wait(desk)).signal]

    home = new_home(root=root, sales=Desk.serve, support=Desk.serve)
    boss = agent("root", ("proc", "ipc"), spawns=["sales"])
    ended = run(home, boss, SALES, agent("support", handoff=["sales"]))
    assert ended["error"] is None, ended
    assert ended["result"] == [
        ["sales", "hello", 1, 1, None],
        ["support", "give it", 1, 1, {"count": 2}],
        ["support", "and now", 1, 2, {"count": 2}],
        "EPIPE",  # it failed, for EDEADLK
        0,
    ]
    assert not events(home, ev.MessageDead)


def test_who_could_not_answer_what_is_in_hand_is_not_handed_it() -> None:
    async def root(proc: Process) -> Any:
        return await proc.call(await proc.spawn("sales"), "say", text="give it")

    class Keeps(Server):
        async def on_say(self, text: str) -> str:
            with pytest.raises(Einval):
                await self.proc.handoff("support")
            return "I do"

    boss = agent("root", ("proc", "ipc"), spawns=["sales"])
    assert run(new_home(root=root, sales=Keeps.serve), boss, SALES, SUPPORT)["result"] == "I do"


def test_other_conversations_are_not_the_next_agent_s() -> None:
    async def gives(proc: Process) -> None:
        secret, talk = proc.conversation("My secret."), proc.conversation("You sell.")
        await secret.begin()
        await talk.append("user", "one")
        await talk.append("assistant", "two", tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{}"}}])
        await talk.append("tool", "three", tool_call_id="a")
        await talk.append("user", "four")
        await proc.handoff("support", conversation=talk, last=2)

    async def takes(proc: Process) -> Any:
        assert proc.handed is not None
        assert proc.handed.conversation is not None
        said = [(message.content, message.source) for message in await proc.handed.conversation.messages()]
        left: list[str] = []
        for number in (1, 2):
            with pytest.raises(Enoent):
                await proc.conversation(number=number).messages()
            left.append("gone")
        return [said, left]

    ended = run(new_home(sales=gives, support=takes), SALES, SUPPORT)
    assert ended["result"] == [[["four", "agent:1"]], ["gone", "gone"]]


def test_each_agent_s_own_budget_bounds_it_and_what_it_took_is_its() -> None:
    async def back_and_forth(proc: Process) -> Any:
        await proc.llm("one")
        if proc.handed and proc.handed.variables.get("twice"):
            return [row["spent"]["tokens"] for row in await proc.calls.budget_read() if row["account"] == "process:1"]
        await proc.handoff("support", variables={"twice": bool(proc.handed)})

    async def returns(proc: Process) -> None:
        await proc.llm("two")
        assert proc.handed is not None
        await proc.handoff("sales", variables={"twice": True})

    home = new_home(sales=back_and_forth, support=returns)
    budget = Budget(Bounds(tokens=100_000))
    ended = run(home, SALES._replace(budget=budget), SUPPORT._replace(handoff=["sales"], budget=budget))
    assert ended["result"] == [16]  # its own two calls, and not the other's
    reader: Any = Following(home.store)
    spent = spending(reader, ["agent"])
    assert {key[0]: group.calls for key, group in spent.items()} == {"desk.sales": 2, "desk.support": 1}


def test_a_replay_that_is_asked_of_a_handed_over_process_begins_with_the_other() -> None:
    home = new_home()

    async def first(steered: Steered) -> None:
        declare(steered, SALES, SUPPORT)
        start(steered, "sales", "my lamp")
        await steered.until(lambda: steered.process(1).name == "support" and steered.process(1).usage.calls > 3)

    steer(home, first)

    async def then(steered: Steered) -> Any:
        return (await steered.ended(1))["result"]

    assert steer(home, then) == RESULT


class Relay(Server):
    """Each message is handed over to the other, who asks the model in the conversation of both, and answers."""

    state: int = 0

    async def on_say(self, text: str) -> Any:
        handed = self.proc.handed
        talk = handed.conversation if handed is not None else None
        if handed is not None and self.message.number in handed.messages:
            assert talk is not None
            self.state += 1
            return [self.proc.name, await talk.llm([])]
        talk = talk or self.proc.conversation("Be brief.")
        await talk.append("user", text)
        await self.proc.handoff("support" if self.proc.name == "sales" else "sales", conversation=talk)


@pytest.mark.parametrize("after_commit", [False, True])
def test_messages_that_are_handed_to_and_fro_are_answered_once_wherever_the_kernel_stops(after_commit: bool) -> None:
    words = ["one", "two", "three"]
    expected = [["support", "re one"], ["sales", "re two"], ["support", "re three"]]

    async def root(proc: Process) -> list[Any]:
        desk = await proc.spawn("sales")
        said = [await proc.call(desk, "say", text=text) for text in words]
        await proc.kill(desk, 9)
        await proc.wait(desk)
        return said

    boss = agent("root", ("proc", "ipc"), spawns=["sales"])
    both = (agent("sales", handoff=["support"]), agent("support", handoff=["sales"]))

    def home_of() -> Home:
        return new_home(root=root, sales=Relay.serve, support=Relay.serve)

    async def whole(steered: Steered) -> Any:
        if not steered.kernel.fleets.fleets:
            declare(steered, boss, *both)
        if not steered.kernel.table.processes:
            start(steered, "root")
        return (await steered.ended(1))["result"]

    home = home_of()
    assert steer(home, whole) == expected
    head = home.store.reader().head()
    assert head is not None
    for stop_at in range(3, head.seq + 1):
        home = home_of()
        home.store = StoppingStore(home.store, stop_at, after_commit=after_commit)

        async def crash(home: Home = home) -> None:
            async with home.life() as kernel:
                declare(kernel, boss, *both)
                start(kernel, "root")
                await kernel.stopped()

        with pytest.raises(Exception, match=f"at {stop_at}"):
            asyncio.run(asyncio.wait_for(crash(), 20))
        home.store = StoppingStore(home.store, 0, after_commit=False)
        assert steer(home, whole) == expected, f"stopped at {stop_at}"
        assert len(events(home, ev.ProcessHandedOff)) == 3, f"stopped at {stop_at}"
        done = [e.number for e in events(home, ev.MessageDone) if e.number]
        assert len(done) == len(set(done)) == 3, f"stopped at {stop_at}"


def test_who_was_handed_over_to_and_fails_begins_again_with_what_it_was_given() -> None:
    async def fragile(proc: Process, more: str) -> Any:
        if proc.history.incarnation == 1:
            raise ValueError("once")
        return await support(proc, more)

    home = new_home(support=fragile)
    assert run(home, SALES, SUPPORT, args=("my lamp",))["result"] == RESULT
    assert [e.incarnation for e in events(home, ev.ProcessFailed)] == [2]


def test_a_conversation_whose_pictures_the_other_s_model_cannot_see_is_not_handed_over() -> None:
    async def looks(proc: Process) -> str:
        talk = proc.conversation()
        picture = {"type": "image", "media_type": "image/png", "data": b"\x89PNG"}
        await talk.append("user", [{"type": "text", "text": "what is it?"}, picture])
        with pytest.raises(Einval) as caught:
            await proc.handoff("support", "x", conversation=talk)
        return str(caught.value.detail["feature"])

    assert run(new_home(sales=looks), SALES, SUPPORT)["result"] == "images"


def test_who_was_told_to_end_hands_nothing_over_and_a_handoff_cancels_what_is_in_flight() -> None:
    async def leaves(proc: Process) -> None:
        waiting = asyncio.ensure_future(proc.receive())
        asking = asyncio.ensure_future(proc.sleep(1e6))
        await proc.nop()
        await proc.handoff("support")
        assert waiting is not asking

    async def takes(proc: Process) -> Any:
        return (await proc.receive()).type

    home = new_home(sales=leaves, support=takes)

    async def test(steered: Steered) -> Any:
        declare(steered, SALES, agent("support"))
        pid = start(steered, "sales")
        await steered.until(lambda: steered.process(pid).name == "support" and bool(steered.process(pid).open))
        steered.kernel.operator.send(pid, "hello", {}, uid=UID)
        return (await steered.ended(pid))["result"]

    assert steer(home, test) == "hello"
    assert not events(home, ev.ProcessFailed)
