"""What needs a person, and what each of a person's choices leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Enoent, Esrch, KernelError
from prytany.abi.signals import Signal
from prytany.kernel.settle import given
from prytany.process.process import OpenCall, State
from prytany.userland.process import Process
from tests.simulation.steered import UID, Home, Steered


async def ask(proc: Process) -> str:
    try:
        return await proc.llm("may I?")
    except KernelError as error:
        return f"{error.errno} {error.detail.get('cause')}"


async def greet(proc: Process) -> str:
    return "here"


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 20))


async def asking(kernel: Steered) -> int:
    pid = kernel.spawn("ask")
    await kernel.incident(pid, 1)
    return pid


@pytest.mark.parametrize(
    ("choice", "value", "result"),
    [("retry", None, "opened"), ("skip", None, "EMODEL skipped"), ("give", "the operator says", "the operator says")],
)
def test_a_model_call_with_a_bad_key_is_settled_by_a_person(choice: str, value: object, result: str) -> None:
    home = Home({"ask": ask})

    async def test(kernel: Steered) -> None:
        pid = await asking(kernel)
        assert kernel.process(pid).shown_state() == (State.WAITING, "a person: bad_key")
        home.model.cause = ""
        kernel.settle(pid, 1, choice, value)
        assert (await kernel.ended(pid))["result"] == result
        assert kernel.kernel.table.incidents == {}

    steer(home, test)
    assert home.model.asked == (2 if choice == "retry" else 1)
    settled = next(e for e in home.entries() if any(isinstance(x, ev.CallSettled) for x in e.events))
    assert settled.events[:2] == [
        ev.OperatorCommanded(UID, f"settle {choice}", 1, 1),
        ev.IncidentClosed(1, "bad_key", 1, UID),
    ]
    assert any(isinstance(x, ev.CallClosed) for x in settled.events) == (choice != "retry")


def test_a_retry_that_fails_again_needs_a_person_again() -> None:
    home = Home({"ask": ask})

    async def test(kernel: Steered) -> None:
        pid = await asking(kernel)
        kernel.settle(pid, 1, "retry")
        await kernel.until(lambda: home.model.asked == 2 and 1 in kernel.process(pid).incidents)
        kernel.settle(pid, 1, "skip")
        await kernel.ended(pid)

    steer(home, test)


def test_what_is_settled_stays_settled_in_a_replay_and_asks_nobody() -> None:
    home = Home({"ask": twice})

    async def first(kernel: Steered) -> None:
        pid = await asking(kernel)
        kernel.settle(pid, 1, "give", "given")
        await kernel.incident(pid, 2)

    async def second(kernel: Steered) -> Any:
        return await kernel.ended(1)

    steer(home, first)
    home.model.cause = ""
    assert steer(home, second)["result"] == ["given", "opened"]
    assert home.model.asked == 3


async def twice(proc: Process) -> list[str]:
    return [await proc.llm("one"), await proc.llm("two")]


def test_late_repeated_and_unknown_settlements_change_nothing() -> None:
    home = Home({"ask": ask})

    async def test(kernel: Steered) -> None:
        pid = await asking(kernel)
        head = kernel.kernel.ledger.journal.head
        for n, choice, value in ((7, "retry", None), (0, "retry", None), (-1, "skip", None)):
            with pytest.raises(Enoent):
                kernel.settle(pid, n, choice, value)
        wrong: list[tuple[str, object]] = [
            ("explode", None), ("retry", "a value"), ("give", {"no": "text"}), ("give", None),
        ]  # fmt: skip
        for choice, given_value in wrong:
            with pytest.raises(Einval):
                kernel.settle(pid, 1, choice, given_value)
        with pytest.raises(Esrch):
            kernel.settle(99, 1, "retry")
        assert kernel.kernel.ledger.journal.head == head
        kernel.settle(pid, 1, "skip")
        with pytest.raises(Enoent):
            kernel.settle(pid, 1, "skip")
        await kernel.ended(pid)
        with pytest.raises(Enoent):
            kernel.settle(pid, 1, "give", "too late")

    steer(home, test)


def test_who_waits_for_a_person_keeps_no_place() -> None:
    home = Home({"ask": ask, "greet": greet}, places=1)

    async def test(kernel: Steered) -> None:
        pid = await asking(kernel)
        other = kernel.spawn("greet")
        assert (await kernel.ended(other))["result"] == "here"
        kernel.settle(pid, 1, "give", "x")
        assert (await kernel.ended(pid))["result"] == "x"

    steer(home, test)


async def cancelling(proc: Process) -> str:
    try:
        await asyncio.wait_for(proc.llm("may I?"), 0.01)
    except TimeoutError:
        return "gave up"
    return "answered"


def test_a_call_that_is_cancelled_or_whose_process_ends_needs_nobody_any_more() -> None:
    home = Home({"ask": ask, "cancelling": cancelling})

    async def test(kernel: Steered) -> None:
        assert (await kernel.ended(kernel.spawn("cancelling")))["result"] == "gave up"
        assert kernel.kernel.table.incidents == {}
        pid = await asking(kernel)
        kernel.kernel.operator.signal(pid, Signal.KILL, uid=UID)
        await kernel.ended(pid)
        assert kernel.kernel.table.incidents == {}

    steer(home, test)


def doubted(home: Home) -> None:
    """Leave call 1 of process 1 in doubt, as a crash between intent and result does."""

    async def test(kernel: Steered) -> None:
        pid = await asking(kernel)
        kernel.kernel.note((ev.IncidentClosed(pid, "bad_key", 1), ev.CallDoubted(pid, 1)))
        kernel.kernel.note((ev.IncidentOpened(pid, "doubt", 1),))
        await kernel.until(lambda: kernel.process(pid).shown_state() == (State.WAITING, "an outcome in doubt"))

    steer(home, test)
    home.model.cause = ""


@pytest.mark.parametrize(
    ("choice", "value", "result"), [("retry", None, "opened"), ("skip", None, "EINDOUBT skipped"), ("give", "so", "so")]
)
@pytest.mark.parametrize("idle", [False, True])
def test_an_outcome_in_doubt_waits_over_restarts_and_is_settled_live_or_while_nothing_runs(
    choice: str, value: object, result: str, idle: bool
) -> None:
    home = Home({"ask": ask})
    doubted(home)

    async def offline() -> None:
        async with home.life(idle=True) as kernel:
            kernel.settle(1, 1, choice, value)
            with pytest.raises(Enoent):
                kernel.settle(1, 1, choice, value)

    async def online(kernel: Steered) -> None:
        if not idle:
            assert kernel.process(1).open[1].doubt
            assert home.model.asked == 1
            kernel.settle(1, 1, choice, value)
        assert (await kernel.ended(1))["result"] == result

    if idle:
        asyncio.run(offline())
        assert home.model.asked == 1
    steer(home, online)
    assert home.model.asked == (2 if choice == "retry" else 1)


async def changeable(proc: Process) -> str:
    await proc.nop(b"")
    return await proc.llm("last")


@pytest.mark.parametrize("choice", ["retry", "skip"])
def test_a_process_stopped_by_ereplay_goes_on_or_ends_as_a_person_says(choice: str) -> None:
    home = Home({"ask": changeable})

    async def first(kernel: Steered) -> None:
        pid = kernel.spawn("ask")
        await kernel.incident(pid, 2)

    async def diverging(kernel: Steered) -> None:
        await kernel.incident(1, 0)

    async def settling(kernel: Steered) -> Any:
        assert kernel.kernel.table.incidents.keys() == {"1:replay:0"}
        with pytest.raises(Einval):
            kernel.settle(1, 0, "give", "x")
        kernel.settle(1, 0, choice)
        return await kernel.ended(1)

    steer(home, first)
    home.model.cause = ""
    home.programs["ask"] = ask  # it asks for the model first now
    steer(home, diverging)
    home.programs["ask"] = changeable
    end = steer(home, settling)
    if choice == "retry":
        assert end["result"] == "opened"
    else:
        assert (end["status"], end["reason"]) == (1, "ended by the operator after EREPLAY")


MODEL = OpenCall("model_chat", b"", 1)
TOOL = OpenCall("tool_call", b"", 1)


@pytest.mark.parametrize(
    "value",
    [
        b"bytes", float("nan"), float("inf"), 1 << 64, -(1 << 63) - 1, {1: "x"}, {"a": {2}}, "\ud800", {"\udfff": 1},
        object(),
    ],
)  # fmt: skip
def test_what_json_does_not_have_is_no_result(value: object) -> None:
    with pytest.raises(Einval):
        given(TOOL, value)


def test_a_value_that_is_too_deep_or_too_large_is_no_result() -> None:
    deep: Any = "x"
    for _ in range(10_000):
        deep = [deep]
    for value in (deep, "x" * (limits.RESULT_BYTES_MAX + 1)):
        with pytest.raises(Einval):
            given(TOOL, value)


@pytest.mark.parametrize(
    "value", [None, 7, [], {"text": 1}, {"text": "x", "more": 1}, {"text": "x", "tool_calls": [1]}]
)
def test_a_models_answer_is_a_text_or_an_answer(value: object) -> None:
    with pytest.raises(Einval):
        given(MODEL, value)
