"""What people write on the command line, and what is written back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.control import Ended, IncidentRow, Status
from prytany.abi.errors import Einval
from prytany.abi.limits import CONTROL_REQUEST_BYTES_MAX
from prytany.abi.signals import Signal
from prytany.cli import incidents, listing
from prytany.cli.attached import command, duration, pid_of
from prytany.cli.incidents import given_value
from prytany.cli.kill import signal_of
from prytany.cli.numbers import read_number, shown_number
from prytany.cli.progress import Progress
from prytany.cli.text import json_line
from prytany.cli.wait import show, show_end, wait_process


@pytest.mark.parametrize("text", ["TERM", "term", "SIGTERM", "15", " sigterm "])
def test_a_signal_is_named_in_any_of_the_usual_ways(text: str) -> None:
    assert signal_of(text) is Signal.TERM


@pytest.mark.parametrize("text", ["", "SIG", "0", "-9", "64", "HUP", "9" * 5000, "TERM\x1b"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        signal_of(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1.", ".", "1.2.3", "²", "9" * 5000])
def test_what_is_no_pid_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        pid_of(text)


def test_a_value_is_text_unless_it_is_said_to_be_json() -> None:
    assert given_value("[1]", False) == "[1]"
    assert given_value("[1]", True) == [1]


@pytest.mark.parametrize("text", ["", "{", "nan", "[" * 100_000, "\udcff"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        given_value(text, True)


@pytest.mark.parametrize("read", [b"x" * (CONTROL_REQUEST_BYTES_MAX + 1), b"\xff"])
def test_what_is_too_much_or_no_text_is_not_taken_from_standard_input(
    read: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(read)))
    with pytest.raises(Einval):
        given_value(None, False)


def test_a_value_is_taken_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é\n".encode())))
    assert given_value(None, False) == "é\n"


def test_a_command_can_be_copied_whatever_the_home_is_called() -> None:
    assert command("ps", Path("/a b/$c")) == "prytany ps --home '/a b/$c'"
    assert "\x1b" not in command("ps", Path("/\x1b[2J"))


@pytest.mark.parametrize(
    ("ns", "text"), [(-5, "0.0 s"), (59_900_000_000, "59.9 s"), (61 * 10**9, "1 min 1 s"), (7_260 * 10**9, "2 h 1 min")]
)
def test_a_length_of_time_is_written_for_people(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_a_line_of_json_is_one_line_whatever_an_agent_returned() -> None:
    line = json_line({"result": ["\n\x1b[31m", b"\xff", float("inf"), {1: 2}]})
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["result"][3] == {"1": 2}


@pytest.mark.parametrize("error", [{"type": "\x1b]0;x\x07"}, {"traceback": "a\x1b[2Jb"}, {1: 2}, [], "text", 7])
def test_an_end_is_shown_without_control_characters(error: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show_end("\x1b[2J", error)
    show_end({"\x1b": 1}, None)
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"type": "SIGTERM", "message": "ended by SIGTERM", "traceback": ""}, "ended by SIGTERM\n"),
        ({"type": "Einval", "message": "no plain data"}, "Einval: no plain data\n"),
        ({"type": "ValueError", "message": "", "traceback": "a\nb\n"}, "a\nb\n"),
    ],
)
def test_what_ended_a_program_is_said_once(
    error: dict[str, str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_end(None, error)
    assert capsys.readouterr() == ("", text)


def test_an_end_without_an_error_or_a_result_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    show(Ended(pid=3, status=137, signal=9, reason="its run 1 has ended", result=None, error=None), False)
    assert capsys.readouterr() == ("", "process 3 ended: its run 1 has ended (status 137)\n")


def test_a_line_of_json_holds_nothing_that_a_terminal_would_obey_and_means_the_same() -> None:
    value = {"a\x9b": ["\u202e\U000e0041é", "\udcff"]}
    line = json_line(value)
    assert line.isprintable()
    assert json.loads(line) == {"a\x9b": ["\u202e\U000e0041é", "\\udcff"]}


@pytest.mark.parametrize(("pid", "timeout"), [("x", None), ("1", float("nan")), ("1", float("inf"))])
def test_a_wait_that_makes_no_sense_fails_as_a_wait_does(tmp_path: Path, pid: str, timeout: float | None) -> None:
    assert wait_process(tmp_path, pid, timeout, False) == 125


def test_a_run_says_how_to_settle_what_needs_a_person() -> None:
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    Progress(tell, Path("/h"))(1, 1, [ev.IncidentOpened(3, "bad_key", 5)])
    assert "prytany incidents retry 3 5 --home /h" in said[0]


def test_a_run_names_a_call_that_nobody_waits_for_by_the_entry_that_opened_it() -> None:
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    progress = Progress(tell, Path("/h"))
    progress.name(3, "agent")
    progress(1, 1, [ev.IncidentOpened(3, "abandoned", -57)])
    assert said[0].endswith("prytany incidents skip 3 @57 --home /h")
    progress(2, 2, [ev.ProcessReaped(3)])
    assert progress._names == {}, "who is gone is not kept"


@pytest.mark.parametrize(("text", "n"), [("0", 0), ("4", 4), ("@57", -57), ("@0", 0)])
def test_the_number_of_a_call_is_read_as_it_is_shown(text: str, n: int) -> None:
    assert read_number(text) == n
    assert read_number(shown_number(n)) == n


@pytest.mark.parametrize("text", ["", "@", "-1", "@-1", "@@1", "x", "1.0", "²", "+1", " 1", "9" * 5000, "@" + "9" * 16])
def test_what_is_no_number_of_a_call_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the number of a call"):
        read_number(text)


def test_ps_says_that_older_runs_are_listed_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = Status(
        version="0", os_pid=0, home="", confined=True, running_max=1, head=1, time_ns=1, processes=0, running=0,
        ready=0, incidents=0, let_go=12,
    )  # fmt: skip
    monkeypatch.setattr(listing, "with_client", lambda home, action: ([], status))
    listing.list_processes(tmp_path, False)
    assert "12 older runs have ended" in capsys.readouterr().err


def test_a_replay_that_needs_a_person_says_where_both_sides_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = Status(
        version="0", os_pid=0, home="", confined=True, running_max=1, head=1, time_ns=1, processes=2, running=0,
        ready=0, incidents=3,
    )  # fmt: skip
    rows = [
        IncidentRow(pid=3, n=0, kind="replay", name="agent", call="", since_ns=1),
        IncidentRow(pid=4, n=2, kind="doubt", name="agent", call="tool_call", since_ns=1),
        IncidentRow(pid=5, n=-57, kind="abandoned", name="agent", call="tool_call shop.ship", since_ns=1),
    ]
    monkeypatch.setattr(incidents, "with_client", lambda home, action: (rows, status))
    incidents.list_incidents(tmp_path, False)
    shown = capsys.readouterr()
    told = shown.err
    assert "@57  abandoned" in shown.out
    assert "then skip it" in told
    assert f"prytany logs 3 --home {tmp_path}" in told
    assert "logs 4" not in told
