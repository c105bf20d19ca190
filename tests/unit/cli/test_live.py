"""The table of a run: bounded, sorted, with the text of agents as it is, and never more than it was told."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pty
from collections.abc import Sequence
from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.cli.live import ROWS_MAX, LiveProgress, _Console, in_front
from prytany.ports.memory import PRESSURE


def spawned(pid: int, name: str) -> ev.ProcessSpawned:
    return ev.ProcessSpawned(pid, 0, pid, name, "python", "p.py:main", b"", b"", [], {}, b"")


def drawn(events: Sequence[ev.Event], height: int = 40, width: int = 100) -> list[str]:
    """What stands on the terminal after these events, when nothing draws again."""
    file = io.StringIO()
    console = _Console(file=file, force_terminal=True, color_system=None, width=width, height=height, markup=False)
    progress = LiveProgress(Path("/h"), console)
    progress(1, 1, events)
    console.print(progress.picture())
    return file.getvalue().splitlines()


def test_a_row_says_who_does_what_and_what_it_took() -> None:
    lines = drawn([
        spawned(1, "[red]editor\x1b[2J"), spawned(2, "reader"), spawned(3, "late"), spawned(4, "stands"),
        ev.ProcessStarted(1, 0), ev.CallOpened(1, 1, "model_chat", b"", 0, 0),
        ev.ModelUsed(1, 1, "m", 30, 12, 2_000, 5),
        ev.ProcessStarted(2, 0), ev.ProcessExited(2, 0, 0, "returned", b""),
        ev.ProcessStarted(4, 0), ev.ProcessPaused(4, "SIGSTOP"),
    ])  # fmt: skip
    assert [line.split()[:1] for line in lines[1:5]] == [["1"], ["2"], ["3"], ["4"]]
    assert r"[red]editor\x1b[2J" in lines[1]
    assert "waits for the model" in lines[1]
    assert lines[1].split()[-2:] == ["42", "$0.002"]
    assert "ended: returned" in lines[2]
    assert "waits for a place" in lines[3]
    assert "is stopped" in lines[4]
    assert "3 alive, 1 ended, 1 model calls answered" in lines[5]


def test_who_waits_for_its_rate_and_who_stands_still_for_want_of_memory_say_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun: list[ev.Event] = [spawned(1, "reader"), ev.ProcessStarted(1, 0), ev.CallOpened(1, 1, "file_read", b"", 0, 0)]
    assert "waits for file_read, at its bytes a second" in drawn([*begun, ev.CallPaced(1, 1, True)])[1]
    again = drawn([*begun, ev.CallPaced(1, 1, True), ev.CallPaced(1, 1, False)])[1]
    assert "waits for file_read " in again
    assert "second" not in again
    assert "is stopped" in drawn([*begun, ev.ProcessPaused(1, PRESSURE)])[1]
    assert "reader" in (said := capsys.readouterr().err)
    assert "stands still: memory pressure" in said


def test_rows_are_as_many_as_have_room_and_the_rest_is_counted() -> None:
    crowd: list[ev.Event] = [spawned(pid, f"agent {pid}") for pid in range(1, 1_001)]
    tall, low = drawn(crowd, height=200), drawn([*crowd, ev.ProcessStarted(7, 0)], height=10)
    assert len(tall) == 1 + ROWS_MAX + 2
    assert "and 980 processes more" in tall[-2]
    assert [line.split()[0] for line in low[1:5]] == ["7", "998", "999", "1000"]
    assert "1000 alive" in low[-1]


def test_who_fails_or_needs_a_person_is_said_above_the_table_and_the_cursor_is_left_alone() -> None:
    file = io.StringIO()
    console = _Console(file=file, force_terminal=True, color_system=None, width=100, height=30, markup=False)

    async def run() -> None:
        progress = LiveProgress(Path("/h"), console)
        progress.begin()
        progress(1, 1, [spawned(1, "bad"), ev.ProcessStarted(1, 0), ev.IncidentOpened(1, "doubt", 3)])
        progress(2, 2, [ev.ProcessExited(1, 1, 0, "raised ValueError", b"")])
        progress.go_on(1)
        progress.end()
        progress.end()

    asyncio.run(run())
    said = file.getvalue()
    assert "bad needs a person: doubt; prytany incidents retry 1 3 --home /h" in said
    assert "ends: raised ValueError (status 1)" in said
    assert "\x1b[?25" not in said
    assert said.endswith("\n")


def test_a_terminal_that_is_gone_does_not_end_the_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "gone")

    async def run() -> None:
        console = _Console(file=io.StringIO(), force_terminal=True, width=80, height=30)
        progress = LiveProgress(Path("/h"), console)
        progress.begin()
        console.file = Gone()
        progress(1, 1, [spawned(1, "a"), ev.IncidentOpened(1, "doubt", 3)])
        progress.end()

    asyncio.run(run())


def test_behind_another_program_of_the_terminal_nothing_is_drawn_and_what_needs_a_person_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = io.StringIO()
    console = _Console(file=file, force_terminal=True, color_system=None, width=100, height=30, markup=False)
    front = False

    async def run() -> None:
        nonlocal front
        progress = LiveProgress(Path("/h"), console, lambda: front)
        progress.begin()
        progress(1, 1, [spawned(1, "bad"), ev.IncidentOpened(1, "doubt", 3)])
        progress._tick(8)
        assert file.getvalue() == ""
        assert capsys.readouterr().err.count("\n") == 1
        front = True
        progress._tick(0)
        assert "1 alive" in file.getvalue(), "fg brings it back at once"
        front, drawn = False, file.getvalue()
        progress._tick(8)
        progress(2, 2, [ev.ProcessExited(1, 1, 0, "raised ValueError", b"")])
        progress.end()
        assert file.getvalue() == drawn
        assert "ends: raised ValueError" in capsys.readouterr().err
        front = True
        progress.begin()
        progress.end()
        assert "\x1b[1A" not in file.getvalue()[len(drawn) :].partition("\n")[0], "it is drawn below what came between"

    asyncio.run(run())


def test_who_is_in_front_is_whom_the_terminal_belongs_to() -> None:
    pid, fd = pty.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            was = in_front()
            child = os.fork()
            if child == 0:
                os.setpgid(0, 0)
                os._exit(in_front())
            os._exit(0 if was and os.waitpid(child, 0)[1] == 0 else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
