"""`trace` shows what a process did, from its record alone, and further as it is recorded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Esrch
from prytany.abi.signals import Signal
from prytany.cli import trace
from prytany.cli.logs import show_logs
from prytany.cli.trace import Shown, trace_process
from prytany.cli.traced import Traced
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.kernel.turn import others_first
from tests.surfaces import homes

HOSTILE = "\x1b]0;x\x07\n\u202e"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 has had a child, 2; 3 was sent two messages."""
    home = tmp_path_factory.mktemp("traced") / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        operator = shard.kernel.operator
        await operator.wait_ended(homes.spawn(shard, home, "family", "text"))
        third = homes.spawn(shard, home, "listens", 2, pledge=["ipc"])
        for body in ("secret", None):
            operator.send(third, HOSTILE, body, uid=7)
        await operator.wait_ended(third)
        await shard.close()

    asyncio.run(run())
    return home


def lines(home: Path, pid: int, capsys: pytest.CaptureFixture[str], *calls: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert trace_process(home, str(pid), True, calls=calls) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_call_is_shown_with_what_was_decided_of_it_and_how_long_it_took(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = lines(home, 2, capsys)
    assert [(line["call"], line["decision"]) for line in found if line["event"] == "call.done"] == [
        ("nop", "at once"), ("nop", "at once"),
    ]  # fmt: skip
    waited = [line for line in lines(home, 1, capsys, "process_wait") if line["event"].startswith("call.")]
    if len(waited) == 2:
        assert (waited[0]["decision"], waited[0]["child"]) == ("opened", 2)
        assert waited[1]["decision"] == "answered"
        assert waited[1]["took_us"] == (waited[1]["time_ns"] - waited[0]["time_ns"]) // 1000
    else:  # the child had ended before it was waited for
        assert [line["decision"] for line in waited] == ["at once"]


def test_a_child_is_shown_from_its_spawn_to_its_end(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [(line["event"], line["child"]) for line in lines(home, 1, capsys) if "child" in line]
    events = [event for event, _ in found if event.startswith("process.")]
    assert events[:2] == ["process.spawned", "process.exited"]
    assert "process.reaped" in events
    assert {child for _, child in found} == {2}


def test_a_message_is_shown_as_it_is_sent_and_taken(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(home, 3, capsys)
    sent = [line for line in found if line["event"] == "message.sent"]
    assert [(line["number"], line["sender"], line["receiver"], line["kind"]) for line in sent] == [
        (1, -8, 3, HOSTILE), (2, -8, 3, HOSTILE),
    ]  # fmt: skip
    taken = [line["number"] for line in found if line["event"] == "message.taken"]
    assert taken == [1, 2]
    assert "secret" not in json.dumps(found)


def test_only_calls_of_a_name_are_shown_where_one_is_given(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(home, 3, capsys, "message_done")
    assert {line["call"] for line in found} == {"message_done"}
    assert len([line for line in found if line["event"] == "call.done"]) == 2
    both = lines(home, 3, capsys, "message_done", "message_receive")
    assert {line["call"] for line in both} == {"message_done", "message_receive"}
    assert lines(home, 3, capsys, "model_chat") == []
    with pytest.raises(Einval, match="there is no call"):
        trace_process(home, "3", True, calls=["\x1b"])


def test_text_of_agents_is_escaped_on_both_surfaces(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for as_json in (True, False):
        trace_process(home, "3", as_json)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "message 1" in shown


def test_a_process_that_the_journal_does_not_know_is_esrch_followed_or_not(home: Path) -> None:
    for follow in (False, True):
        with pytest.raises(Esrch):
            trace_process(home, "77", False, follow=follow)
    with pytest.raises(Einval):
        trace_process(home, "x", False)


def test_tokens_and_money_stand_in_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    traced = Traced(1)
    first = ev.Entry(1_000_000_000, [ev.CallOpened(1, 4, "model_chat", b"a", 0), ev.ModelReserved(1, 4, "m", 9, 9, 0)])
    used = ev.ModelUsed(1, 4, "m", 12, 34, 5_600, 1_500_000)
    second = ev.Entry(
        3_500_000_000, [used, ev.CallClosed(1, 4, "EMODEL", b"", 1), ev.CallsDenied(2, "nop", "EPERM", [1], 1)]
    )
    found = [line for entry in (first, second) for line in traced.take(entry)]
    assert [line.event for line in found] == ["call.opened", "model.reserved", "model.used", "call.closed"]
    assert {line.facts["call"] for line in found} == {"model_chat"}
    assert found[3].facts["took_us"] == 2_500_000
    assert trace._columns(found[2]).split()[1:] == [
        "model.used",
        "model_chat",
        "1.500s",
        "12",
        "+",
        "34",
        "$0.0056",
        "model=m",
    ]
    assert "EMODEL" in trace._columns(found[3])


def test_a_tool_call_that_waits_for_its_turn_is_queued() -> None:
    opened, called = ev.CallOpened(1, 1, "tool_call", b"a", 0), ev.ToolCalled(1, 1, "look", "pure", [], b"")
    cases: list[tuple[list[ev.Event], str]] = [
        ([opened, called], "queued"), ([opened, called, ev.ToolStarted(1, 1)], "opened"),
        ([ev.CallOpened(1, 1, "file_read", b"a", 0), ev.CallPaced(1, 1, True)], "queued"),
    ]  # fmt: skip
    for events, decision in cases:
        line = next(iter(Traced(1).take(ev.Entry(1, events))))
        assert line.facts["decision"] == decision


def test_a_process_is_followed_until_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        operator = shard.kernel.operator
        first = homes.spawn(shard, home, "listens", 1, pledge=["ipc"])
        second = homes.spawn(shard, home, "waits", 1, 8)
        shown = Shown(Traced(first), True)
        reader = SqliteReader(home / "journal.db", pinned=False)
        following = asyncio.ensure_future(trace._follow(home, reader, shown))
        while not shard.kernel.ledger.followers:
            await others_first()
        operator.send(first, "stop", None, uid=0)
        await asyncio.wait_for(following, 20)
        # One that does not end is followed until its kernel does.
        shown = Shown(Traced(second), True)
        following = asyncio.ensure_future(trace._follow(home, reader, shown))
        while not shard.kernel.ledger.followers:
            await others_first()
        operator.signal(second, Signal.STOP, uid=0)
        await shard.close()
        await asyncio.wait_for(following, 20)
        reader.close()

    asyncio.run(run())
    out, err = capsys.readouterr()
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events.count("process.spawned") == 2, "nothing is shown twice"
    assert "message.taken" in events
    assert events[-1] == "process.stopped"
    assert events.count("process.exited") == 1
    assert "nothing runs here" in err


@pytest.mark.parametrize(
    ("stays", "ends", "expected"),
    [(False, False, "prytany resume"), (True, False, "prytany up"), (False, True, "has ended")],
)
def test_what_is_followed_advises_what_can_be_done(
    stays: bool, ends: bool, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"

    async def leave() -> None:
        shard = await homes.open_home(home)
        first = homes.spawn(shard, home, "waits", 1, 8)
        homes.spawn(shard, home, "waits", 1, 8)
        if stays:
            shard.kernel.fleet_operator.declare("talk", [], models={}, tools=[], resolved=b"", uid=0, stays=True)
        if ends:
            shard.kernel.operator.signal(first, Signal.KILL, uid=0)
        await shard.close()

    asyncio.run(leave())
    show_logs(home, ["1"], follow=True)
    said = capsys.readouterr().err
    assert "nothing runs here" in said
    assert [advice for advice in ("prytany resume", "prytany up", "has ended") if advice in said] == [expected]
    shown = Shown(Traced(1), False)
    reader = SqliteReader(home / "journal.db", pinned=False)
    asyncio.run(trace._follow(home, reader, shown))  # as of one that was going on a moment ago
    reader.close()
    said = capsys.readouterr().err
    assert [advice for advice in ("prytany resume", "prytany up") if advice in said] == ([] if ends else [expected])
