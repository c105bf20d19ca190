"""Calls of models that need not be made: one of those that are the same, and answers that were given before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Emodel, KernelError
from prytany.abi.signals import Signal
from prytany.kernel.forgetting import forget_all
from prytany.kernel.model_sparing import Spared
from prytany.ports.model import (
    Allowance,
    ModelAnswer,
    ModelFailure,
    ModelFeatures,
    ModelLimits,
    ModelRequest,
    Told,
    Usage,
)
from prytany.userland.process import Process
from tests.simulation.fleet import CountingModel, Fleet

LIMITS = ModelLimits(coalesce=True, answers_bytes=1 << 20)
AT_ZERO = ModelLimits(coalesce=True, answers_bytes=1 << 20, same_at_zero=True)
NO_LIMITS = ModelLimits()
KEPT, TWINS = ModelLimits(answers_bytes=1 << 20), ModelLimits(coalesce=True)


class Slow(CountingModel):
    """Answers when it was let, and fails as often as it is told to."""

    def __init__(self, limits: ModelLimits = LIMITS, **features: Any) -> None:
        super().__init__()
        given: dict[str, Any] = {"deterministic": True, "limits": limits} | features
        self.features = ModelFeatures(**given)
        self.fails: list[ModelFailure] = []
        self.finish = "stop"
        self.told: Told | None = None
        self.turns = 30
        self.waits: Callable[[], bool] = lambda: False
        """Whether it need not wait for its turns to be over."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        question = str(request.messages[-1]["content"])
        self.asked[question] += 1
        for _ in range(self.turns):
            if self.waits():
                break
            await asyncio.sleep(0)  # noqa: TID251 a turn
        if self.fails:
            raise self.fails.pop(0)
        answer = f"answer {self.asked.total()} to {question}"
        return ModelAnswer(answer, self.finish, [], Usage(3, 5, 2), "strange name", self.told)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer]:
        answer = await self.chat(request)
        for piece in answer.text.split(" "):
            yield piece if answer.text.startswith(piece) else f" {piece}"
        yield answer


async def ask(proc: Process, question: str = "q", context: int = 0, model: str = "", **options: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    return await proc.calls.model_chat(messages, model, options, context)


async def texts(proc: Process, *asked: Any) -> list[str]:
    return [answer["text"] for answer in await asyncio.gather(*asked)]


def run(program: Any, model: Slow, **others: Any) -> tuple[Any, Fleet]:
    fleet = Fleet("root", {"root": program, **others})
    fleet.model = model
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"], fleet


def events(fleet: Fleet, kind: type[Any]) -> list[Any]:
    return [e for entry in fleet.entries() for e in entry.events if isinstance(e, kind)]


def spared(fleet: Fleet) -> Spared:
    return fleet.kernel.model_sparing.spared("")


def test_identical_calls_in_flight_are_asked_once_and_answered_in_their_order() -> None:
    async def root(proc: Process) -> Any:
        return await texts(proc, *(ask(proc) for _ in range(4)), ask(proc, "other"))

    told, fleet = run(root, Slow(TWINS))
    assert told[:4] == [told[0]] * 4
    assert told[4] != told[0]
    assert fleet.model.asked == {"q": 1, "other": 1}
    assert [(e.n, e.by, e.tokens, e.cost_usd_micros) for e in events(fleet, ev.ModelSpared)] == [
        (2, "twin", 8, 2), (3, "twin", 8, 2), (4, "twin", 8, 2),
    ]  # fmt: skip
    assert len(events(fleet, ev.ModelReserved)) == len(events(fleet, ev.ModelUsed)) == 2
    assert spared(fleet) == Spared(twins=3, tokens=24, cost_usd_micros=6)
    assert fleet.kernel.model_turns.asking == {}
    usage = fleet.table().processes[1].usage
    assert (usage.prompt_tokens + usage.completion_tokens, usage.model_calls) == (16, 2)


def test_children_are_each_others_twins_and_share_what_was_answered_before() -> None:
    async def child(proc: Process, name: str) -> str:
        return str((await ask(proc))["text"])

    async def root(proc: Process) -> Any:
        pids = [await proc.spawn("child", name) for name in "abcd"]
        return [(await proc.wait(pid)).result for pid in pids]

    told, fleet = run(root, Slow(), child=child)
    assert told == ["answer 1 to q"] * 4
    assert fleet.model.asked == {"q": 1}
    assert {e.by for e in events(fleet, ev.ModelSpared)} <= {"twin", "kept"}
    assert spared(fleet).kept + spared(fleet).twins == 3


def test_an_answer_that_is_kept_answers_at_once_with_all_that_it_said() -> None:
    async def root(proc: Process) -> Any:
        return [await ask(proc), await ask(proc), await ask(proc, "q", seed=7), await ask(proc, "q", fresh=True)]

    told, fleet = run(root, Slow(KEPT))
    assert told[0] == told[1]
    assert [answer["text"] for answer in told] == [f"answer {n} to q" for n in (1, 1, 2, 3)]
    assert told[1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "cost_usd_micros": 2}
    assert spared(fleet).kept == 1
    assert spared(fleet).missed == 2
    assert [e.by for e in events(fleet, ev.ModelSpared)] == ["kept"]
    assert len(events(fleet, ev.ModelReserved)) == 3


def test_who_says_fresh_asks_anew_by_every_way_there_is() -> None:
    async def root(proc: Process) -> Any:
        told = [await proc.llm("q"), await proc.llm("q"), await proc.llm("q", fresh=True)]
        told.append((await proc.chat("q", fresh=True)).text)
        told.append(await proc.llm("q", fresh=True, stream=True))
        talk = proc.conversation()
        told += [await talk.llm("q"), await proc.conversation().llm("q", fresh=True)]
        with pytest.raises(Einval):
            await proc.llm("q", fresh="yes")  # type: ignore[call-overload]
        shape = {"type": "object"}
        with pytest.raises(Emodel):
            await proc.ask("q", shape)
        with pytest.raises(Emodel):
            await proc.ask("q", shape, fresh=True)
        return told

    told, fleet = run(root, Slow(streaming=True, json_schema=True))
    assert told == [f"answer {n} to q" for n in (1, 1, 2, 3, 4, 4, 5)]
    assert fleet.model.asked == {"q": 7}


def test_in_a_context_the_chain_gets_question_and_answer_as_ever() -> None:
    async def root(proc: Process) -> Any:
        told: list[Any] = []
        for _ in range(2):
            talk = proc.conversation()
            told.append([await talk.llm("q"), talk.length, [list(m[:3]) for m in await talk.messages()]])
            told.append([await talk.llm("and then?"), talk.length])
        talk = proc.conversation()
        streamed = await talk.stream("q")
        told.append(["".join([piece async for piece in streamed]), talk.length])
        return [*told, (await ask(proc))["text"]]

    told, fleet = run(root, Slow(streaming=True))
    assert told[0] == told[2]
    assert told[0][:2] == told[4] == ["answer 1 to q", 2]
    assert told[1] == told[3] == ["answer 2 to and then?", 4]
    assert told[5] == "answer 1 to q"
    assert fleet.model.asked == {"q": 1, "and then?": 1}


def test_a_streamed_call_gets_what_was_kept_as_one_piece_and_waits_for_no_twin() -> None:
    async def streamed(proc: Process) -> list[str]:
        return [piece async for piece in proc.llm("q", stream=True)]

    async def root(proc: Process) -> Any:
        told = list(await asyncio.gather(streamed(proc), streamed(proc)))
        return ["".join(pieces) for pieces in told] + [await streamed(proc), (await ask(proc))["text"]]

    told, fleet = run(root, Slow(streaming=True))
    assert sorted(told[:2]) == ["answer 1 to q", "answer 2 to q"] or told[0].startswith("answer")
    assert fleet.model.asked == {"q": 2}
    assert told[2] == [told[3]]
    assert [e.by for e in events(fleet, ev.ModelSpared)] == ["kept", "kept"]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Slow(ModelLimits()), {}),
        (Slow(deterministic=False), {"temperature": 0}),
        (Slow(AT_ZERO, deterministic=False), {"temperature": 0.1}),
        (Slow(AT_ZERO, deterministic=False), {}),
        (Slow(tools=True), {"tools": [{"name": "t"}]}),
        (Slow(), {"fresh": True}),
    ],
)  # fmt: skip
def test_where_not_all_say_so_each_is_asked(model: Slow, options: dict[str, Any]) -> None:
    async def root(proc: Process) -> Any:
        await texts(proc, ask(proc, **options), ask(proc, **options))
        return (await ask(proc, **options))["text"]

    _, fleet = run(root, model)
    assert fleet.model.asked == {"q": 3}
    assert events(fleet, ev.ModelSpared) == []


def test_at_temperature_0_the_operators_leave_is_enough() -> None:
    async def root(proc: Process) -> Any:
        return await texts(proc, *(ask(proc, temperature=0) for _ in range(3)))

    leave = ModelLimits(coalesce=True, same_at_zero=True)
    assert run(root, Slow(leave, deterministic=False))[1].model.asked == {"q": 1}


@pytest.mark.parametrize("finish", ["content_filter", "tool_calls"])
def test_an_answer_that_is_not_for_all_is_nobody_elses(finish: str) -> None:
    async def root(proc: Process) -> Any:
        return [*await texts(proc, ask(proc), ask(proc)), (await ask(proc))["text"]]

    model = Slow()
    model.finish = finish
    assert len(set(run(root, model)[0])) == 3


def test_a_failure_is_nobody_elses_and_the_next_is_asked() -> None:
    async def one(proc: Process) -> str:
        try:
            return str((await ask(proc))["text"])
        except KernelError as error:
            return error.errno

    async def root(proc: Process) -> Any:
        return await asyncio.gather(*(one(proc) for _ in range(4)))

    model = Slow(TWINS)
    model.fails = [ModelFailure("bad_request", "no", retryable=False), ModelFailure("timeout", "late", retryable=True)]
    told, fleet = run(root, model)
    assert told == ["EMODEL", "answer 3 to q", "answer 3 to q", "answer 3 to q"]
    assert len(events(fleet, ev.ModelSpared)) == 2
    assert fleet.kernel.model_turns.asking == {}


def test_who_cancels_takes_nothing_from_the_others() -> None:
    async def root(proc: Process) -> Any:
        asked = [asyncio.ensure_future(ask(proc)) for _ in range(3)]
        await proc.nop()
        await proc.calls.call_cancel(2)
        told: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
        return [one.errno if isinstance(one, KernelError) else one["text"] for one in told]

    told, fleet = run(root, Slow(TWINS))
    assert told[0] == "ECANCELED"
    assert told[1] == told[2]
    assert len(events(fleet, ev.ModelSpared)) == 1


@pytest.mark.parametrize("signal", [Signal.KILL, Signal.STOP])
def test_where_the_one_that_is_asked_goes_the_others_are_answered(signal: Signal) -> None:
    signalled: list[Signal] = []

    async def root(proc: Process) -> Any:
        pids = [await proc.spawn("asker", name) for name in "ab"]
        second = (await proc.wait(pids[1])).result
        if signal is Signal.STOP:
            fleet.kernel.operator.signal(pids[0], Signal.CONT, uid=0)
        return [second, (await proc.wait(pids[0])).result]

    def waits() -> bool:
        """Signal the first, when the second waits for it."""
        if len(fleet.kernel.model_turns.asking) == 2 and not signalled:
            signalled.append(signal)
            fleet.kernel.operator.signal(2, signal, uid=0)
        return bool(signalled)

    fleet = Fleet("root", {"root": root, "asker": asker})
    model = fleet.model = Slow(TWINS)
    model.turns, model.waits = 100_000, waits
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    second, first = ended["result"]
    assert second is not None
    assert first == (second if signal is Signal.STOP else None)
    assert len(events(fleet, ev.ModelSpared)) == (signal is Signal.STOP)
    assert fleet.kernel.model_turns.asking == {}


def test_what_an_endpoint_says_of_its_limits_is_heeded() -> None:
    async def root(proc: Process) -> Any:
        return (await ask(proc, "one"))["text"], (await ask(proc, "two"))["text"]

    model = Slow(NO_LIMITS)
    model.told = Told(Allowance(600, 7), Allowance(90_000, 0, 2_000_000_000))
    model.fails = [ModelFailure("rate_limited", "later", retryable=True, retry_after_ms=100)]
    model.fails[0].told = Told(tokens=Allowance(80_000))
    _, fleet = run(root, model)
    rates = fleet.kernel.model_turns.scheduler.queues[""].rates
    assert (rates.requests.limit, rates.tokens.limit) == (600, 90_000)
    began = [e.time_ns for e in fleet.entries() if any(isinstance(x, ev.ModelReserved) for x in e.events)]
    assert began[-1] - began[-2] >= 2_000_000_000


def test_what_an_answer_was_is_destroyed_with_its_owner() -> None:
    async def child(proc: Process, name: str) -> str:
        return str((await ask(proc))["text"])

    fleets: list[Fleet] = []

    async def root(proc: Process) -> Any:
        pids = [await proc.spawn("child", "a")]
        first = (await proc.wait(pids[0])).result
        kernel = fleets[0].kernel
        commanded = ev.OperatorCommanded(0, "journal forget", pids[0])
        await forget_all(kernel.ledger, kernel.reader, {pids[0]}, commanded)
        return [first, (await ask(proc))["text"], (await ask(proc))["text"]]

    fleet = Fleet("root", {"root": root, "child": child})
    fleets.append(fleet)
    fleet.model = Slow(KEPT)
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["result"] == ["answer 1 to q", "answer 2 to q", "answer 2 to q"]


def test_another_model_in_its_place_has_other_answers() -> None:
    fleets: list[Fleet] = []

    async def root(proc: Process) -> Any:
        first = (await ask(proc))["text"]
        fleets[0].kernel.outside.models[""] = Slow(KEPT)
        return [first, (await ask(proc, "q"))["text"], fleets[0].kernel.model_sparing.spared("").kept]

    fleet = Fleet("root", {"root": root})
    fleets.append(fleet)
    fleet.model = Slow(KEPT)
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["result"] == ["answer 1 to q", "answer 1 to q", 0]


@pytest.mark.parametrize("fresh", [0, 1, "yes", None, []])
def test_an_option_that_is_no_answer_to_fresh_is_refused(fresh: Any) -> None:
    async def root(proc: Process) -> Any:
        try:
            await ask(proc, fresh=fresh)
        except KernelError as error:
            return error.errno
        return ""

    assert run(root, Slow())[0] == "EINVAL"


async def swept(proc: Process) -> Any:
    """Twins, kept answers, a context and a stream."""
    pids = [await proc.spawn("asker", name) for name in "abc"]
    told = [str((await proc.wait(pid)).result) for pid in pids]
    told.append((await ask(proc))["text"])
    talk = proc.conversation()
    told += [await talk.llm("q"), await talk.llm("and?")]
    told += ["".join([piece async for piece in proc.llm("q", stream=True)])]
    return told


async def asker(proc: Process, name: str) -> str:
    return str((await ask(proc))["text"])


class Same(Slow):
    """Says the same whoever asks."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        answer = await super().chat(request)
        return msgspec.structs.replace(answer, text=f"answer to {request.messages[-1]['content']}")


def swept_fleet(limits: ModelLimits) -> Fleet:
    """Its model lets the first of its callers wait until another waits for the same."""
    fleet = Fleet("root", {"root": swept, "asker": asker})
    model = fleet.model = Same(limits, streaming=True)
    model.turns = 3_000
    model.waits = lambda: model.asked.total() > 1 or len(fleet.kernel.model_turns.asking) > 1
    return fleet


def sweep(limits: ModelLimits, after_commit: bool, stops: Sequence[int] = ()) -> int:
    """Stops at each append, goes on, and looks at what was told, paid and lost; how many appends there are."""
    whole = swept_fleet(limits)
    ended = asyncio.run(whole.live())
    assert ended is not None
    assert {e.by for e in events(whole, ev.ModelSpared)} == {ev.TWIN, ev.KEPT}
    for stop_at in stops:
        fleet = swept_fleet(limits)
        asyncio.run(asyncio.wait_for(fleet.live(stop_at, after_commit=after_commit), 20))
        again = asyncio.run(asyncio.wait_for(fleet.live(), 20))
        assert again is not None, f"stopped at {stop_at}"
        assert again["result"] == ended["result"], f"stopped at {stop_at}"
        closed = [(e.pid, e.n) for e in events(fleet, ev.CallClosed)]
        assert len(closed) == len(set(closed)), f"stopped at {stop_at}"
        for process in fleet.table().processes.values():
            assert process.usage.reserved_prompt_tokens == process.usage.reserved_completion_tokens == 0
        used = events(fleet, ev.ModelUsed)
        assert sum(e.cause == "" for e in used) + len(events(fleet, ev.ModelSpared)) == 7, f"stopped at {stop_at}"
        assert sum(e.cause == "lost" for e in used) <= 3
        assert fleet.model.asked.total() <= len(used) + 3
    head = whole.store.reader().head()
    assert head is not None
    return head.seq


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_loses_nothing_and_gives_nothing_twice(after_commit: bool) -> None:
    last = sweep(LIMITS, after_commit)
    sweep(LIMITS, after_commit, range(2, last + 1))
