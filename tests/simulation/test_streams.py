"""Streams through the kernel: recorded before they are delivered, never doubled, never out of order, always paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.journal.bodies import unpack
from prytany.kernel.effects.stream import GROUP_BYTES
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelRequest
from prytany.runtime.inline import InlineWorker
from prytany.userland.process import Process
from tests.simulation.fleet import Fleet
from tests.simulation.steered import Home, LockedModel
from tests.simulation.streams import LIVES, WORDS, StreamingModel, Turn, streaming_fleet

TEXT = "".join(WORDS)


def live(fleet: Fleet, stop_at: int = 0, *, after_commit: bool = False) -> dict[str, Any] | None:
    return asyncio.run(asyncio.wait_for(fleet.live(stop_at, after_commit=after_commit), 20))


def events(fleet: Fleet, kind: type[Any]) -> list[Any]:
    return [e for entry in fleet.entries() for e in entry.events if isinstance(e, kind)]


def recorded(fleet: Fleet) -> list[str]:
    """The pieces in the journal, in order."""
    pieces: list[str] = []
    for row in fleet.store.reader().rows(1):
        bodies = dict(unpack(row.bodies))
        for event in ev.decode_entry(row.record).events:
            if isinstance(event, ev.CallPiece):
                pieces.append(msgspec.msgpack.decode(bodies[event.piece]))
    return pieces


def result(ended: dict[str, Any] | None) -> Any:
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"]


def test_pieces_reach_the_program_as_they_are_recorded_and_the_answer_has_the_whole_text() -> None:
    fleet = streaming_fleet()
    told = result(live(fleet))
    assert told == {"seen": recorded(fleet), "cause": "", "text": TEXT, "usage": 7}
    assert len(told["seen"]) > 1
    assert "".join(told["seen"]) == TEXT


def test_the_answer_of_a_stream_does_not_put_its_text_into_the_journal_a_second_time() -> None:
    fleet = streaming_fleet()
    live(fleet)
    bodies = [content for row in fleet.store.reader().rows(1) for _, content in unpack(row.bodies)]
    assert sum(b"journal." in content for content in bodies) == 2  # the last piece, and what the program returns


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_kernel_that_stops_at_any_append_of_a_stream_doubles_and_reorders_no_piece(after_commit: bool) -> None:
    fleet = streaming_fleet()
    live(fleet)
    length = fleet.store.reader().head()
    assert length is not None
    met = {"again": 0, "interrupted": 0, "whole": 0}
    for stop_at in range(2, length.seq + 1):
        fleet = streaming_fleet()
        live(fleet, stop_at, after_commit=after_commit)
        before, saw = recorded(fleet), [list(seen) for seen in LIVES]
        open_before = not events(fleet, ev.CallClosed)
        assert all(seen == before[: len(seen)] for seen in saw), f"delivered before it was durable, at {stop_at}"
        told = result(live(fleet))
        assert told["seen"][: len(before)] == before, f"stopped at {stop_at}"
        assert told["seen"] == recorded(fleet)
        assert told["text"] == "".join(told["seen"])
        if before and open_before:
            assert (told["cause"], told["seen"]) == ("interrupted", before)
            met["interrupted"] += 1
        else:
            assert (told["cause"], told["text"]) == ("", TEXT), f"stopped at {stop_at}"
            met["whole" if before else "again"] += 1
        lost = [e.cause for e in events(fleet, ev.ModelUsed)].count("lost")
        assert fleet.model.asked["tell"] <= 1 + lost
        assert fleet.model.asked["tell"] == 1 or not before, "a stream of which something was delivered was made again"
        check_reservations(fleet)
    assert all(met.values()), met


def check_reservations(fleet: Fleet) -> None:
    """Nothing stays set aside, and what was lost is charged at what was set aside for it."""
    usage = fleet.table().processes[1].usage
    assert (usage.reserved_prompt_tokens, usage.reserved_completion_tokens, usage.reserved_usd_micros) == (0, 0, 0)
    reserved = {(e.pid, e.n): e for e in events(fleet, ev.ModelReserved)}
    for used in events(fleet, ev.ModelUsed):
        most = reserved[used.pid, used.n]
        if used.cause in ("lost", "cancelled", "interrupted"):
            assert (used.prompt_tokens, used.completion_tokens) == (most.prompt_tokens, most.completion_tokens)
            assert used.estimated
        assert used.prompt_tokens <= most.prompt_tokens


def test_a_stream_that_is_cut_before_its_first_piece_is_made_again() -> None:
    fleet = streaming_fleet("teller", 0, 0)
    assert result(live(fleet))["text"] == TEXT
    assert [e.cause for e in events(fleet, ev.ModelUsed)] == ["interrupted", "interrupted", ""]
    check_reservations(fleet)


def test_a_stream_that_is_cut_after_a_piece_ends_with_what_there_is_and_is_not_made_again() -> None:
    fleet = streaming_fleet("teller", 3)
    told = result(live(fleet))
    assert told["cause"] == "interrupted"
    assert told["text"] == "".join(WORDS[:3]) == "".join(recorded(fleet))
    assert fleet.model.asked == {"tell": 1}
    check_reservations(fleet)


@pytest.mark.parametrize("root", ["leaver", "quitter"])
def test_a_stream_that_is_left_closes_the_endpoints_connection_and_is_charged_at_its_reservation(root: str) -> None:
    fleet = streaming_fleet(root, wait_after=2)
    assert result(live(fleet)) == WORDS[0]
    assert isinstance(fleet.model, StreamingModel)
    assert fleet.model.closed == 1
    assert [e.cause for e in events(fleet, ev.ModelUsed)] == ["cancelled"]
    assert fleet.table().processes[1].usage.prompt_tokens > 0
    check_reservations(fleet)


def test_a_program_that_takes_nothing_holds_its_stream_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0

    class Endless(LockedModel):
        features = ModelFeatures(streaming=True)

        async def stream(self, request: ModelRequest) -> AsyncGenerator[str, None]:
            nonlocal given
            while True:
                given += 1
                for _ in range(30):
                    await Turn()
                yield "x" * GROUP_BYTES  # a group of its own

    async def hear(proc: Process) -> None:
        async with proc.llm("tell", stream=True):
            await asyncio.Event().wait()

    async def main() -> None:
        home = Home({"hear": hear})
        home.model = Endless()
        async with home.life() as kernel:
            pid = kernel.spawn("hear")
            await kernel.until(lambda: given > 0)
            live = kernel.kernel.workers.live[pid]
            while live.sent - live.delivered <= limits.PIECES_AHEAD_MAX:
                await Turn()
            held = given
            for _ in range(1_000):
                await Turn()
            assert given == held
            # What it takes makes room for more.
            live.delivered = live.sent
            live.on_taken()
            while given == held:
                await Turn()

    monkeypatch.setattr(InlineWorker, "_idle", lambda worker: None)  # it says nothing of what it took
    monkeypatch.setattr(limits, "PIECES_AHEAD_MAX", 20)
    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_stream_beyond_the_bound_of_a_result_is_cut() -> None:
    class Endless(StreamingModel):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
            self.asked["tell"] += 1
            while True:
                yield "x" * (1 << 20)

    fleet = streaming_fleet("length")
    fleet.model = Endless()
    assert result(live(fleet)) == ["interrupted", "garbage", limits.RESULT_BYTES_MAX]
    assert fleet.model.asked == {"tell": 1}


def test_an_endpoint_that_cannot_stream_gives_its_answer_in_one_piece() -> None:
    fleet = streaming_fleet()
    fleet.model.features = ModelFeatures()
    assert result(live(fleet))["seen"] == ["answer to tell"]
