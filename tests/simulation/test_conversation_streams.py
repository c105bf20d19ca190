"""Streams in a conversation: the chain is the one that the same answers make whole, and what is cut leaves it alone."""

from __future__ import annotations

import asyncio
from typing import Any

from prytany.abi import events as ev
from prytany.abi.errors import Emodel
from prytany.ports.model import ModelAnswer, ModelRequest, Usage
from prytany.userland.process import Process
from tests.simulation.conversations import chain_of
from tests.simulation.fleet import Fleet, offer
from tests.simulation.streams import WORDS, StreamingModel

ALL = "".join(WORDS)


class Both(StreamingModel):
    """Says the same whether it is asked for a stream or not."""

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.asked[str(request.messages[-1]["content"])] += 1
        return ModelAnswer(ALL, "stop", usage=Usage(7, 6))


async def streamer(proc: Process) -> list[Any]:
    """Two turns in pieces."""
    talk = proc.conversation()
    said = [piece async for piece in await talk.stream("one")]
    node = talk.node
    stream = await talk.stream("two")
    await stream
    read = [m.content for m in await talk.messages()]
    return ["".join(said), stream.answer.text, node, talk.node, talk.length, read]


async def teller_whole(proc: Process) -> list[Any]:
    """The same without pieces."""
    talk = proc.conversation()
    said = await talk.llm("one")
    node = talk.node
    answer = await talk.chat("two")
    return [said, answer.text, node, talk.node, talk.length, [m.content for m in await talk.messages()]]


async def cut_off(proc: Process) -> list[Any]:
    """A stream that is cut, and the question once more."""
    talk = proc.conversation()
    before = talk.node
    try:
        await (await talk.stream("one"))
    except Emodel as error:
        before = str(error.detail["cause"])
    length = talk.length
    await talk.llm("one")
    return [before, length, talk.length]


for _program in (streamer, teller_whole, cut_off):
    offer(_program, "model")


def fleet_of(root: str, *cut: int) -> Fleet:
    fleet = Fleet(root)
    fleet.model = Both(*cut)
    return fleet


def lived(fleet: Fleet) -> list[Any]:
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    result: list[Any] = ended["result"]
    return result


def test_a_streamed_conversation_is_the_same_chain_as_one_that_came_whole() -> None:
    pieces, whole = fleet_of("streamer"), fleet_of("teller_whole")
    result = lived(pieces)
    assert result == lived(whole)
    assert result[4:] == [4, ["one", ALL, "two", ALL]]
    assert chain_of(pieces) == chain_of(whole)


def test_a_stream_that_is_cut_leaves_its_context_as_it_was() -> None:
    fleet = fleet_of("cut_off", 2)
    assert lived(fleet) == ["interrupted", 0, 2]
    assert len(chain_of(fleet)) == 1


def test_a_streamed_conversation_is_the_same_after_a_stop_anywhere() -> None:
    whole = fleet_of("streamer")
    wanted = lived(whole)
    length = whole.store.reader().head()
    assert length is not None
    interrupted = 0
    for stop_at in range(2, length.seq + 1, 3):
        fleet = fleet_of("streamer")
        asyncio.run(fleet.live(stop_at))
        ended = asyncio.run(fleet.live())
        assert ended is not None
        if ended["status"]:  # it had seen pieces when the kernel stopped: that stream cannot go on
            interrupted += 1
            assert ended["reason"] == "raised Emodel"
            assert len(chain_of(fleet)) < 2
        else:
            assert ended["result"] == wanted, f"stopped at {stop_at}"
    assert 0 < interrupted < length.seq // 3


def test_what_a_context_holds_is_reserved_for_with_the_question() -> None:
    fleet = fleet_of("teller_whole")
    lived(fleet)
    reserved = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ModelReserved)]
    prompt = len("one") + len(ALL) + len("two")
    assert reserved[1].prompt_tokens - reserved[0].prompt_tokens >= prompt - len("one")
