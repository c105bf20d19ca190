"""A fleet in one process is looked at and steered from another, while its kernel runs and when none does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from prytany.abi.errors import Ebusy, KernelError
from prytany.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
TARGET = str(ROOT / "tests" / "surfaces" / "programs" / "waiting.py") + ":parent"


def prytany(*arguments: str, home: Path) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(app, [*arguments, "--home", str(home)])


def rows(*arguments: str, home: Path) -> list[dict[str, Any]]:
    done = prytany(*arguments, "--json", home=home)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(*arguments: str, home: Path) -> str:
    """The errno with which a command fails."""
    done = prytany(*arguments, home=home)
    assert isinstance(done.exception, KernelError), done.output
    return done.exception.errno


@contextmanager
def kernel(*arguments: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A kernel in a process of its own, once the sleeper has started."""
    command = [sys.executable, "-m", "prytany.cli", *arguments, "--model", "scripted", "--home", str(home)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        try:
            yield run
        finally:
            run.kill()


def until_sleeping(run: subprocess.Popen[str], home: Path) -> None:
    assert run.stderr is not None
    for line in run.stderr:
        if "sleeper" in line and "starts" in line:
            break
    states: list[tuple[str, str]] = []
    while ("waiting", "timer") not in states or any(state != "waiting" for state, _ in states):
        assert run.poll() is None
        states = [(row["state"], row["reason"]) for row in rows("ps", home=home)]


def test_a_running_fleet_is_looked_at_waited_for_and_killed_from_outside(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with kernel("run", TARGET, home=home) as run:
        until_sleeping(run, home)
        assert [(r["pid"], r["state"], r["reason"]) for r in rows("ps", home=home)] == [
            (1, "waiting", "process 2"), (2, "waiting", "timer"),
        ]  # fmt: skip
        (found,) = rows("inspect", "2", home=home)
        assert [call["call"] for call in found["open"]] == ["timer_wait"]
        shown = prytany("inspect", "2", home=home).stdout
        assert "timer_wait, for" in shown
        assert "\x1b" not in shown + prytany("ps", home=home).stdout
        assert prytany("wait", "1", "--timeout", "0.01", home=home).exit_code == 124
        assert prytany("wait", "9", home=home).exit_code == 127
        assert prytany("incidents", home=home).stdout == ""
        assert refused("incidents", "retry", "1", "2", home=home) == "ENOENT"
        assert refused("incidents", "skip", "1", "@2", home=home) == "ENOENT"
        assert prytany("incidents", "skip", "1", "two", home=home).exit_code == 2
        assert refused("inspect", "9", home=home) == "ESRCH"
        busy = prytany("resume", "--model", "scripted", home=home).exception
        assert isinstance(busy, Ebusy)
        assert f"`kill {run.pid}`" in busy.__notes__[0]
        # What is not there is told of, and the rest is killed all the same.
        killed = prytany("kill", "9", "2", home=home)
        assert killed.exit_code == 2
        assert "[ESRCH] there is no process 9" in killed.stderr
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert out == "the child ended with 143\n"
    ended = prytany("wait", "1", home=home)
    assert (ended.exit_code, ended.stdout) == (0, "the child ended with 143\n")
    assert not (home / "control").exists()


def test_a_fleet_whose_kernel_died_is_looked_at_and_killed_by_what_is_recorded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with kernel("run", TARGET, home=home) as run:
        until_sleeping(run, home)
        os.kill(run.pid, signal.SIGKILL)
    assert (home / "control").exists()
    assert [r["state"] for r in rows("ps", home=home)] == ["waiting", "waiting"]
    assert [call["call"] for call in rows("inspect", "1", home=home)[0]["open"]] == ["process_wait"]
    unended = prytany("wait", "1", home=home)
    assert unended.exit_code == 125
    assert "EAGAIN" in unended.stderr
    recorded = prytany("kill", "2", "--signal", "sigkill", home=home)
    assert recorded.exit_code == 0
    assert "prytany resume" in recorded.stderr
    assert [r["pid"] for r in rows("ps", home=home)] == [1]
    with kernel("resume", home=home) as resumed:
        out, told = resumed.communicate(timeout=60)
    assert (resumed.returncode, out) == (0, "the child ended with 137\n")
    assert "the kernel before died; what goes on from the journal, where it was: 1 process" in told
    commanded = [e for e in rows("trace", "2", home=home) if e["event"] == "operator.commanded"]
    assert [(e["command"], e["uid"]) for e in commanded] == [("signal 9", os.getuid())]


@pytest.mark.parametrize(
    ("arguments", "errno"),
    [
        (("kill", "1", "--signal", "BOOM"), "EINVAL"),
        (("kill", "0x1"), "EINVAL"),
        (("kill", "1"), "ENOENT"),
        (("ps",), "ENOENT"),
        (("inspect", "0"), "EINVAL"),
        (("inspect", "9" * 5000), "EINVAL"),
        (("incidents",), "ENOENT"),
        (("incidents", "give", "1", "1", "{", "--from-json"), "EINVAL"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_an_errno_and_leaves_nothing_behind(
    tmp_path: Path, arguments: tuple[str, ...], errno: str
) -> None:
    assert refused(*arguments, home=tmp_path / "none") == errno
    (tmp_path / "empty").mkdir(mode=0o700)
    assert refused(*arguments, home=tmp_path / "empty") == errno
    assert list((tmp_path / "empty").iterdir()) == []
