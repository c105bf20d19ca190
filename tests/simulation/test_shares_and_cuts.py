"""Bounds are of what they say: of the record since its last cut, of who caused the bytes, of streams as of answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Edquot, KernelError
from prytany.kernel.quotas import DEFAULT_QUOTAS, Quotas
from prytany.ports.model import ModelAnswer, ModelFeatures, Usage
from prytany.userland.process import Process
from tests.simulation.fleet import CountingModel, Fleet


def lived(fleet: Fleet) -> Any:
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"]


def fleet_of(*programs: Any, quotas: Quotas = DEFAULT_QUOTAS) -> Fleet:
    """The first one is the root."""
    return Fleet(programs[0].__name__, {program.__name__: program for program in programs}, quotas=quotas)


async def serves(proc: Process) -> None:
    while True:
        message = await proc.calls.message_receive()
        await proc.calls.message_done(message["message"], b"state", message["body"])


async def asks(proc: Process) -> list[Any]:
    pid = await proc.spawn("serves")
    return [await proc.calls.message_call(pid, "t", i) for i in range(30)]


def test_the_history_of_a_server_is_that_since_its_last_cut() -> None:
    fleet = fleet_of(asks, serves, quotas=Quotas(history_calls_warn=10, history_calls_max=45))
    assert lived(fleet) == list(range(30))
    server = fleet.table().processes[2]
    assert (server.history, server.warned) == (1, {})  # it waits for the next message


class BigAnswers(CountingModel):
    async def chat(self, request: Any) -> ModelAnswer:
        big = request.messages[-1]["content"] == "big"
        return ModelAnswer("x" * 300_000 if big else "ok", "stop", usage=Usage(1, 1))


async def converses(proc: Process) -> list[str]:
    context = (await proc.calls.context_open([{"role": "system", "content": "s"}]))["context"]
    said: list[str] = []
    for question in ("big", "then"):
        try:
            answer = await proc.calls.model_chat([{"role": "user", "content": question}], "", {}, context)
            said.append(answer["text"])
        except KernelError as error:
            said.append(error.errno)
    read = await proc.calls.context_read(context)
    return [*said, *(entry["message"]["content"] for entry in read["messages"])]


def test_an_answer_that_the_share_has_no_room_for_does_not_stand_in_its_context() -> None:
    fleet = fleet_of(converses, quotas=Quotas(process_bytes=200_000))
    fleet.model = BigAnswers()
    assert lived(fleet) == ["EDQUOT", "ok", "s", "then", "ok"]
    used = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]
    assert len(used) == 2


async def leaves_much(proc: Process) -> str:
    await proc.calls.message_receive()
    return "R" * 400_000


async def is_told(proc: Process) -> str:
    pid = await proc.spawn("leaves_much")
    with pytest.raises(KernelError):
        await proc.calls.message_call(pid, "t", 1)
    await proc.nop(b"")
    return "fine"


def test_what_a_process_leaves_is_in_its_own_share_and_not_of_whom_its_end_tells() -> None:
    fleet = fleet_of(is_told, leaves_much, quotas=Quotas(process_bytes=200_000))
    assert lived(fleet) == "fine"


class LongStream(CountingModel):
    async def _pieces(self) -> Any:
        for _ in range(40):
            yield "y" * 16_384
        yield ModelAnswer("y" * 16_384 * 40, "stop", usage=Usage(1, 1))

    def stream(self, request: Any) -> Any:
        return self._pieces()


async def streams(proc: Process) -> tuple[int, str]:
    seen = 0
    try:
        async for piece in proc.llm("q", stream=True):
            seen += len(piece)
    except Edquot as error:
        return seen, str(error.detail["cause"])
    return seen, ""


def test_a_stream_ends_where_the_share_does() -> None:
    fleet = fleet_of(streams, quotas=Quotas(process_bytes=100_000))
    fleet.model = LongStream()
    fleet.model.features = ModelFeatures(streaming=True)
    seen, cause = lived(fleet)
    assert cause == "process"
    assert 50_000 < seen < 100_000
    root = fleet.table().processes[1]
    assert root.usage.reserved_completion_tokens == 0
    assert root.usage.completion_tokens > 0


async def ends(proc: Process) -> None:
    return None


async def spawns_and_ends(proc: Process) -> None:
    await proc.spawn("ends")


async def waits_for_parents(proc: Process) -> None:
    for _ in range(3):
        await proc.wait(await proc.spawn("spawns_and_ends"))
    for _ in range(200):
        await proc.nop(b"")


def test_an_orphan_whose_parent_was_reaped_is_reaped_when_it_ends() -> None:
    fleet = fleet_of(waits_for_parents, spawns_and_ends, ends)
    lived(fleet)
    assert list(fleet.table().processes) == [1]
