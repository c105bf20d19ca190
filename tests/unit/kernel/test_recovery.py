"""Model calls that are begun again: what is charged, what is not, and what a person can give instead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.ports.model import ModelAnswer, ModelFailure, ModelFeatures, ModelRequest, Usage
from prytany.process.process import State
from prytany.userland.process import Process
from tests.simulation.steered import UID, Home, LockedModel, Steered


class SilentModel(LockedModel):
    """Keeps the first call waiting for ever."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked += 1
        if self.asked == 1:
            await asyncio.get_running_loop().create_future()
        return ModelAnswer("at last", "stop", usage=Usage(1, 1))


class LockedEmbedder(LockedModel):
    features = ModelFeatures(embeddings=True)

    async def embed(self, texts: list[str]) -> Any:
        raise ModelFailure("bad_key", "the door is shut", retryable=False)


async def ask(proc: Process) -> str:
    return await proc.llm("may I?")


async def listen(proc: Process) -> list[str]:
    return [piece async for piece in proc.llm("may I?", stream=True)]


async def embed(proc: Process) -> list[list[float]]:
    return await proc.embed(["one", "two"])


def steer(home: Home, test: Callable[[Steered], Awaitable[Any]]) -> Any:
    async def life() -> Any:
        async with home.life() as kernel:
            return await test(kernel)

    return asyncio.run(asyncio.wait_for(life(), 20))


def causes(home: Home) -> list[str]:
    return [e.cause for entry in home.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]


def test_a_call_that_waits_for_a_person_over_many_lives_is_never_charged_as_lost() -> None:
    home = Home({"ask": ask})

    async def begin(kernel: Steered) -> None:
        await kernel.incident(kernel.spawn("ask"), 1)

    async def again(kernel: Steered) -> None:
        await kernel.incident(1, 1)

    steer(home, begin)
    steer(home, again)
    steer(home, again)
    assert causes(home) == ["bad_key"] * 3

    async def opened(kernel: Steered) -> int:
        home.model.cause = ""
        assert (await kernel.ended(1))["result"] == "opened"
        return kernel.process(1).usage.prompt_tokens

    assert steer(home, opened) == 1


def test_a_lost_attempt_of_a_stopped_process_is_charged_once_when_it_goes_on() -> None:
    home = Home({"ask": ask})
    home.model = SilentModel()

    async def stop(kernel: Steered) -> None:
        pid = kernel.spawn("ask")
        await kernel.until(lambda: home.model.asked == 1 or 1 in kernel.process(pid).open)
        kernel.kernel.operator.signal(pid, Signal.STOP, uid=UID)
        await kernel.until(lambda: kernel.process(pid).state is State.STOPPED)

    async def look(kernel: Steered) -> None:
        assert kernel.process(1).state is State.STOPPED

    async def go_on(kernel: Steered) -> None:
        kernel.kernel.operator.signal(1, Signal.CONT, uid=UID)
        assert (await kernel.ended(1))["result"] == "at last"

    steer(home, stop)
    steer(home, look)
    steer(home, look)
    assert causes(home) == []
    home.model.asked = 1
    steer(home, go_on)
    assert causes(home) == ["lost", ""]


def test_each_beginning_is_reserved_and_nothing_stays_reserved() -> None:
    home = Home({"ask": ask})

    async def test(kernel: Steered) -> None:
        pid = kernel.spawn("ask")
        await kernel.incident(pid, 1)
        once = kernel.process(pid).usage.reserved_prompt_tokens
        home.model.cause = ""
        kernel.settle(pid, 1, "retry")
        assert kernel.process(pid).usage.reserved_prompt_tokens == once > 0
        await kernel.ended(pid)
        assert kernel.process(pid).usage.reserved_prompt_tokens == 0

    steer(home, test)
    reserved = [e for entry in home.entries() for e in entry.events if isinstance(e, ev.ModelReserved)]
    assert len(reserved) == 2


def test_a_cancelled_call_is_charged_once_even_when_its_driver_answers_all_the_same() -> None:
    class Stubborn(LockedModel):
        async def chat(self, request: ModelRequest) -> ModelAnswer:
            self.asked += 1
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.cause = "cancelled"
            return ModelAnswer("too late", "stop", usage=Usage(3, 3))

    async def cancels(proc: Process) -> list[Any]:
        asking = asyncio.ensure_future(proc.llm("may I?"))
        while not home.model.asked:
            await proc.nop()
        cancelled = await proc.calls.call_cancel(2)
        try:
            return [cancelled, await asking]
        except KernelError as error:
            return [cancelled, error.errno]

    home = Home({"cancels": cancels})
    home.model = Stubborn()

    async def test(kernel: Steered) -> None:
        pid = kernel.spawn("cancels")
        assert (await kernel.ended(pid))["result"] == [True, "ECANCELED"]
        usage = kernel.process(pid).usage
        assert (usage.model_calls, usage.completion_tokens) == (1, limits.MODEL_MAX_TOKENS)

    steer(home, test)
    assert home.model.cause == "cancelled"
    assert causes(home) == ["cancelled"]


def test_a_call_that_is_cancelled_between_two_attempts_pays_for_those_that_were_made() -> None:
    class Busy(LockedModel):
        async def chat(self, request: ModelRequest) -> ModelAnswer:
            self.asked += 1
            raise ModelFailure("rate_limited", "busy", retryable=True, retry_after_ms=1_000)

    async def cancels(proc: Process) -> bool:
        asking = asyncio.ensure_future(proc.llm("may I?"))
        while not home.model.asked:
            await proc.nop()
        cancelled = await proc.calls.call_cancel(2)
        await asyncio.gather(asking, return_exceptions=True)
        return cancelled

    home = Home({"cancels": cancels})
    home.model = Busy()

    async def test(kernel: Steered) -> None:
        kernel.kernel.outside.clock.sleep_until = never  # type: ignore[method-assign]
        assert (await kernel.ended(kernel.spawn("cancels")))["result"] is True

    async def never(deadline_ns: int) -> None:
        await asyncio.get_running_loop().create_future()

    steer(home, test)
    assert causes(home) == ["rate_limited"]


def test_a_text_that_a_person_gives_to_a_stream_is_its_one_piece() -> None:
    home = Home({"listen": listen})

    async def test(kernel: Steered) -> None:
        pid = kernel.spawn("listen")
        await kernel.incident(pid, 1)
        kernel.settle(pid, 1, "give", "the operator says")
        assert (await kernel.ended(pid))["result"] == ["the operator says"]

    steer(home, test)


def test_vectors_that_a_person_gives_are_vectors() -> None:
    home = Home({"embed": embed})
    home.model = LockedEmbedder()

    async def test(kernel: Steered) -> None:
        pid = kernel.spawn("embed")
        await kernel.incident(pid, 1)
        kernel.settle(pid, 1, "give", [[1.0, 0.5], [0.0, -2]])
        assert (await kernel.ended(pid))["result"] == [[1.0, 0.5], [0.0, -2.0]]

    steer(home, test)
