"""Long work says how far it is: a bar on a terminal and nowhere else; a run by a line after a silence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.cli.bar import bar
from prytany.cli.others import Others
from prytany.cli.progress import Progress
from prytany.ports.memory import PRESSURE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [0, 10])
def test_a_bar_is_shown_on_a_terminal_and_is_gone_at_the_end(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with bar("entries", total) as move:
        move(5)
    assert "entries" in terminal.getvalue()


def test_no_bar_is_written_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", file := io.StringIO())
    with bar("entries", 10) as move:
        move(5)
    assert file.getvalue() == ""


def test_a_pause_that_nobody_commanded_is_said() -> None:
    said: list[str] = []
    Progress(said.append, Path("/h"))(1, 1, [ev.ProcessPaused(3, "SIGSTOP"), ev.ProcessPaused(4, PRESSURE)])
    (line,) = said
    assert line.split(maxsplit=2)[2] == "stands still: memory pressure; it goes on when there is room"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_was_silent_says_that_it_goes_on_and_one_that_was_not_does_not(as_json: bool) -> None:
    said: list[str] = []
    progress = Progress(said.append, Path("/h"), as_json)
    progress(1, 1, [ev.ProcessStarted(3, 0)])
    progress.go_on(1)
    assert len(said) == 1
    progress.go_on(1)
    assert len(said) == 2
    told = json.loads(said[1])["note"] if as_json else said[1].strip()
    assert told == "goes on: 1 process, 0 model calls answered"


def test_a_silent_run_in_which_all_wait_says_where_to_look() -> None:
    said: list[str] = []
    progress = Progress(said.append, Path("/h"))
    progress.go_on(2, waiting=1)
    progress.go_on(2, waiting=2)
    assert "wait" not in said[0]
    assert said[1].endswith("all wait, for what says prytany ps --home /h")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ev.ProcessFailed(3, 1, 1, 0, "raised ValueError", b"", 5), "begun again: raised ValueError (status 1)"),
        (ev.MessageDead(3, 7, "rejected"), "puts message 7 aside (rejected)"),
        (ev.IncidentOpened(3, "bad_key", 1), "set PRYTANY_MODEL_KEY, and prytany resume --home /h; of a fleet that"),
        (ev.IncidentOpened(3, "doubt", 1), "doubt; prytany incidents retry 3 1 --home /h  (or skip, give)"),
    ],
)
def test_what_went_wrong_is_told_while_it_goes_on(event: ev.Event, words: str) -> None:
    said: list[str] = []
    Progress(said.append, Path("/h"))(1, 1, [event])
    assert len(said) == 1
    assert words in said[0]


def test_what_other_terminals_do_to_the_fleets_is_said_and_what_ones_own_does_is_not() -> None:
    said: list[str] = []
    others = Others(Progress(said.append, Path("/h")))
    declared = ev.FleetDeclared(1, "shop\x1b", b"", {}, [], True, 7)
    agent = ev.AgentDeclared(1, "clerk", "python", "p.py:main", b"", [], "", [], {}, [], 0)
    others.own = True
    others([declared, agent])
    assert said == []
    others.own = False
    others([ev.OperatorCommanded(7, "fleet shop"), declared, agent, ev.AgentWithdrawn(1, "baker")])
    others([ev.FleetDeclared(2, "of a run", b"", {}, [], False, 7)])
    others([ev.OperatorCommanded(7, "down shop"), ev.FleetWithdrawn(1)])
    assert [line.strip() for line in said] == [
        r"the fleet shop\x1b was brought from elsewhere, by uid 7: agent clerk, agent baker is gone",
        "the fleet shop was taken down from elsewhere, by uid 7",
    ]
