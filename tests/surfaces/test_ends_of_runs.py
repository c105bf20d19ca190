"""What a run leaves: nothing that goes on, its result for whoever reads it, and its model for whoever resumes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from prytany.abi.errors import Einval
from tests.surfaces.test_steering import ROOT, TARGET, kernel, prytany, rows, until_sleeping

LEFT = str(ROOT / "tests" / "surfaces" / "programs" / "left.py")


def test_when_the_root_of_a_run_ends_the_rest_of_it_is_ended(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with kernel("run", LEFT + ":main", home=home) as run:
        out, told = run.communicate(timeout=60)
    assert (run.returncode, out) == (0, "2\n")
    assert told.count("its run 1 has ended") == 2
    assert [row["state"] for row in rows("ps", home=home) if row["state"] != "terminated"] == []
    exits = [e for pid in ("2", "3") for e in rows("trace", pid, home=home) if e["event"] == "process.exited"]
    assert [e["reason"] for e in exits] == ["its run 1 has ended"] * 2
    commanded = [e for e in rows("trace", "2", home=home) if e["event"] == "operator.commanded"]
    assert [(e["command"], e["uid"]) for e in commanded] == [("signal 9", os.getuid())]


def test_what_is_left_of_a_run_that_ended_as_its_kernel_died_is_ended_by_resume(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with kernel("run", TARGET, home=home) as run:
        until_sleeping(run, home)
        os.kill(run.pid, signal.SIGKILL)
    assert prytany("kill", "1", "-s", "KILL", home=home).exit_code == 0
    with kernel("resume", home=home) as resumed:
        _, told = resumed.communicate(timeout=60)
    assert resumed.returncode == 0
    assert "sleeper" in told
    assert "its run 1 has ended" in told
    assert [row["state"] for row in rows("ps", home=home) if row["state"] != "terminated"] == []


def test_a_run_whose_progress_nobody_reads_gives_its_result_all_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prytany.cli", "run", LEFT + ":alone", "--model", "scripted"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as nobody:
        done = subprocess.run(
            [*command, "--home", str(tmp_path / "home")], stdout=subprocess.PIPE, stderr=nobody, timeout=60, check=False
        )
    assert (done.returncode, done.stdout) == (0, b"2\n")


def test_a_run_is_resumed_with_its_own_model_and_with_no_other(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with kernel("run", TARGET, home=home) as run:
        until_sleeping(run, home)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
    assert rows("inspect", "1", home=home)[0]["model"] == "scripted"
    other = prytany("resume", "--model", "local", home=home).exception
    assert isinstance(other, Einval)
    assert "--model scripted" in other.message
    prytany("kill", "2", "-s", "KILL", home=home)
    command = [sys.executable, "-m", "prytany.cli", "resume", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "the child ended with 137\n"), done.stderr
