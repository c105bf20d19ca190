"""A run in one process is shown, held, let go on and stopped from another; and a home in which nothing runs is."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.cli import make_home as make_many
from prytany.abi import events as ev
from prytany.drivers.stores.sqlite_reader import SqliteReader
from tests.surfaces.commands import ROOT, Done, command, here
from tests.surfaces.homes import make_home

TARGET = str(ROOT / "tests" / "surfaces" / "programs" / "holding.py") + ":both"


def rows(*arguments: str, home: Path) -> list[dict[str, Any]]:
    done = here(*arguments, "--json", home=home)
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def until(home: Path, run: subprocess.Popen[str], wanted: Callable[[list[dict[str, Any]]], bool]) -> None:
    while not wanted(rows("ps", home=home)):
        assert run.poll() is None


def told(done: Done) -> list[str]:
    assert done.returncode == 0, done
    assert "\x1b" not in done.stdout + done.stderr
    return done.stdout.splitlines()


def states(home: Path) -> list[tuple[str, str]]:
    return [(row["state"], row["reason"]) for row in rows("ps", home=home)]


def entries(home: Path) -> list[list[ev.Event]]:
    with closing(SqliteReader(home / "journal.db")) as reader:
        return [ev.decode_entry(row.record).events for row in reader.rows(1)]


def look(home: Path) -> None:
    shown = told(here("ps", home=home))
    assert shown[0].split() == ["PID", "PARENT", "STATE", "TOKENS", "COST", "CPU", "AGE", "RESTARTS", "AGENT", "NAME"]
    assert shown[1].split()[:4] == ["1", "0", "waiting", "(process"]
    assert shown[2].endswith(r"gentle [bold]\x1b[31mred")
    assert [row["pid"] for row in rows("ps", "--state", "stopped", home=home)] == []
    assert len(rows("ps", "--run", "1", home=home)) == 3
    assert here("ps", "--run", "2", home=home).returncode == 2
    tree = told(here("tree", home=home))
    assert [line.split("  ")[0] for line in tree[1:]] == ["1 both", r"├─ 2 gentle [bold]\x1b[31mred", "└─ 3 stubborn"]
    assert [(row["depth"], row["pid"]) for row in rows("tree", home=home)] == [(0, 1), (1, 2), (1, 3)]
    assert [row["pid"] for row in rows("tree", "3", home=home)] == [3]
    (status,) = rows("status", home=home)
    assert (status["runs"], status["states"], status["models"]) == (True, {"waiting": 3}, ["", "scripted"])
    assert status["since_ns"] > 0
    assert status["disk"]["reserve_whole"]
    assert here("status", home=home).returncode == 0
    assert rows("logs", "2", "--grep", "ere", home=home) == [{"pid": 2, "line": "here \x1b[2J"}]
    assert rows("logs", "2", "-n", "0", home=home) == rows("logs", "2", "--grep", "^x", home=home) == []
    assert told(here("logs", "3", "2", "--since", "1h", home=home)) == [r"2 | here \x1b[2J"]


def hold(home: Path) -> None:
    assert [row["pid"] for row in rows("pause", "2", home=home)] == [2]
    waits = [("waiting", "process 2"), ("stopped", "SIGSTOP"), ("waiting", "timer")]
    assert states(home) == waits
    assert rows("freeze", home=home) == [{"frozen": True, "processes": 2}]
    assert states(home) == [("stopped", "frozen"), ("stopped", "SIGSTOP"), ("stopped", "frozen")]
    assert rows("freeze", home=home) == [{"frozen": True, "processes": 0}]
    assert rows("freeze", "--thaw", home=home) == [{"frozen": False, "processes": 2}]
    assert states(home) == waits
    stopped = [[e.pid for e in entry if isinstance(e, ev.ProcessPaused)] for entry in entries(home)]
    assert [1, 3] in stopped
    assert {row["pid"] for row in rows("unpause", "--run", "1", home=home)} == {1, 2, 3}
    assert here("pause", "9", "--run", "7", home=home).returncode == 2


def test_a_run_is_shown_held_and_stopped_from_outside(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = command("run", TARGET, "--model", "scripted", home=home)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        try:
            while not (home / "control").exists():
                assert run.poll() is None
            timers = [("waiting", "timer")] * 2
            until(home, run, lambda found: [(row["state"], row["reason"]) for row in found[1:]] == timers)
            look(home)
            hold(home)
            until(home, run, lambda found: [(row["state"], row["reason"]) for row in found[1:]] == timers)
            follow = subprocess.Popen(
                command("logs", "2", "3", "-f", home=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            with follow:
                assert follow.stdout is not None
                assert follow.stdout.readline() == "2 | here \\x1b[2J\n"
                assert here("stop", "9", home=home).returncode == 2
                assert rows("stop", "2", "--grace", "60", home=home) == [
                    {"pid": 2, "outcome": "ended", "status": 143, "reason": "ended by SIGTERM"}
                ]
                (late,) = told(here("stop", "3", "--grace", "0.5", home=home))
                assert late == "process 3 is killed: it had not ended after 0.5 s"
                said = sorted(follow.stdout.read().splitlines())
            assert follow.returncode == 0
            assert said == ["2 | tidied up", "3 | no"]
            assert run.communicate(timeout=60)[0] == "143 137\n"
        finally:
            run.kill()


def test_where_nothing_runs_status_says_so_and_what_is_commanded_is_recorded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home, count=2)
    for arguments in ((), ("--json",)):
        done = here("status", *arguments, home=home)
        assert done.returncode == 3
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (found["runs"], found["os_pid"], found["states"]) == (False, 0, {"terminated": 2})
    assert rows("freeze", home=home) == [{"frozen": True, "processes": 0}]
    ended = here("stop", "1", "--json", home=home)
    assert (ended.returncode, json.loads(ended.stderr)["errno"]) == (2, "ESRCH")
    followed = here("logs", "1", "--follow", home=home)
    assert (followed.returncode, followed.stdout) == (0, "")
    assert "nothing runs here, and what is followed has ended" in followed.stderr
    assert "resume" not in followed.stderr


def test_of_many_ended_runs_a_person_sees_the_newest_and_a_program_all(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_many(home, 45)
    assert len(told(here("ps", home=home))) == 1 + 2 * 45  # all that go on, and what their runs took
    assert here("kill", *map(str, range(1, 46)), "-s", "KILL", home=home).returncode == 0
    done = here("ps", home=home)
    assert len(told(done)) == 1 + 2 * 40
    assert "5 older ones have ended" in done.stderr
    assert len(told(here("ps", "--all", home=home))) == 1 + 2 * 45
    assert len(rows("ps", home=home)) == 45


PTY = """
import os, pty, sys
def read(fd):
    return os.read(fd, 65536)
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read)))
"""


def on_a_terminal(*arguments: str, home: Path, **environment: str) -> Done:
    """A command whose standard streams are a terminal, as it is seen there."""
    given = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", **environment}
    return subprocess.run(
        [sys.executable, "-c", PTY, *command(*arguments, home=home)],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False, env=given, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_run_draws_a_table_on_a_terminal_and_its_result_comes_after_it(tmp_path: Path) -> None:
    alone = str(ROOT / "tests" / "surfaces" / "programs" / "left.py") + ":alone"
    done = on_a_terminal("run", alone, "--model", "scripted", home=tmp_path / "home", NO_COLOR="")
    assert done.returncode == 0
    assert "\x1b[?25l" not in done.stdout  # the cursor is left alone, whoever is killed
    assert "\x1b[2K" in done.stdout
    drawn, _, after = done.stdout.rpartition("0 alive, 1 ended")
    assert "ended: returned" in drawn
    assert after.replace("\r", "").splitlines()[-1] == "2"
    plain = on_a_terminal("run", alone, "--model", "scripted", "--plain", home=tmp_path / "home", NO_COLOR="")
    assert "\x1b" not in plain.stdout
    assert "ends: returned (status 0)" in plain.stdout


def test_a_run_that_is_interrupted_on_a_terminal_leaves_it_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    primary, terminal = pty.openpty()
    before = termios.tcgetattr(primary)
    words = command("run", TARGET, "--model", "scripted", home=home)
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal, cwd=ROOT, env=environment) as run:
        os.close(terminal)  # so that what is read ends with the run
        said = b""
        while b"stubborn" not in said:
            said += os.read(primary, 4_096)
        run.send_signal(signal.SIGINT)
        while b"prytany resume" not in said:
            said += os.read(primary, 4_096)
        assert run.wait(60) == 130
    assert termios.tcgetattr(primary) == before
    assert b"\x1b[?" not in said
    assert b"stopped; go on with: prytany resume" in said.rpartition(b"alive")[2]
    os.close(primary)
