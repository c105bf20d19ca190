"""The examples, as a user runs them: real processes, confined workers, real kills; the models scripted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.surfaces.commands import ROOT, command, here, prytany


def ran(home: Path, name: str, *arguments: str) -> str:
    words = [word for argument in arguments for word in ("--arg", argument)]
    done = prytany("run", f"examples/{name}", "--model", "scripted", "--trust", *words, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_desk_hands_over_to_support_which_answers_in_the_same_conversation(tmp_path: Path) -> None:
    assert "until it clicks" in ran(tmp_path, "desk", "prompt=My reading lamp is broken.")
    events = [json.loads(line) for line in here("trace", "1", "--json", home=tmp_path).stdout.splitlines()]
    (over,) = [event for event in events if event["event"] == "process.handed_off"]
    assert (over["by"], over["agent"]) == ("sales", "support")
    assert "49.00" in ran(tmp_path, "desk", "prompt=What does a reading lamp cost?")


def test_the_floor_orders_until_the_risk_desk_stops_it(tmp_path: Path) -> None:
    lines = ran(tmp_path, "floor", "ticks=30").splitlines()
    assert sum("trading was halted" in line for line in lines) == 1
    stopped = next(at for at, line in enumerate(lines) if "halted" in line)
    # What was under way when it was stopped may still come in: an order a trader, and no more.
    assert 0 <= len(lines) - 2 - stopped <= 4
    assert re.fullmatch(r"at the end of the day \d+\.\d\d are at stake", lines[-1])


FAILS = "fails, and is begun again"
ALL_THERE = "and 400.00 are there as before"


def test_the_bank_has_every_cent_though_its_agents_die(tmp_path: Path) -> None:
    arguments = ["--arg", "accounts=4", "--arg", "tellers=3", "--arg", "transfers=40"]
    done = prytany("run", "examples/bank", "--model", "scripted", *arguments, home=tmp_path)
    assert done.stdout.rstrip().endswith(ALL_THERE), done.stderr
    assert FAILS in done.stderr
    assert here("journal", "verify", home=tmp_path).returncode == 0


@pytest.mark.parametrize("failures", [1, 4])
def test_the_bank_has_every_cent_though_its_kernel_is_killed_as_well(tmp_path: Path, failures: int) -> None:
    arguments = ["--arg", "accounts=4", "--arg", "tellers=3", "--arg", "transfers=40"]
    words = command("run", "examples/bank", "--model", "scripted", *arguments, home=tmp_path)
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        seen = 0
        for line in run.stderr:
            seen += FAILS in line
            if seen == failures:
                os.kill(run.pid, signal.SIGKILL)
                break
    resumed = prytany("resume", "--model", "scripted", home=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert ALL_THERE in resumed.stdout


def test_the_village_plans_meets_and_remembers(tmp_path: Path) -> None:
    text = ran(tmp_path, "village", "people=6", "hours=2")
    assert text.count(" wants to ") == 6
    assert "## 9 o'clock" in text
    assert "## 10 o'clock" in text
    assert re.search(r"At the \w+, \w+ to \w+: “.+” — “.+”", text)


@pytest.mark.parametrize("careful", ["true", "false"])
def test_robots_share_a_corridor_and_all_arrive(tmp_path: Path, careful: str) -> None:
    lines = ran(tmp_path, "corridor", "robots=6", "trips=3", f"careful={careful}").splitlines()
    found = [re.fullmatch(r"robot-(\d) arrived 3 times and was lifted out (\d+) times", line) for line in lines]
    assert [one[1] for one in found if one] == ["1", "2", "3", "4", "5", "6"]
    lifted = sum(int(one[2]) for one in found if one)
    assert (lifted == 0) == (careful == "true")
