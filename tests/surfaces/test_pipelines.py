"""`run 'a | b'`: stages joined by streams, on real kernels and workers."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.commands import ROOT, command, prytany

STAGES = """
from prytany import agent


@agent(pledge="pipe")
async def count(proc, most="3"):
    for n in range(int(most)):
        await proc.stdout.write(f"{n}\\n")


@agent(pledge="pipe")
async def double(proc):
    async for line in proc.stdin:
        await proc.stdout.write(f"{2 * int(line)}\\n")


@agent(pledge="pipe")
async def head(proc, most="1"):
    for _ in range(int(most)):
        await proc.stdout.write(await proc.stdin.read())


@agent(pledge="pipe")
async def total(proc):
    return sum([int(line) async for line in proc.stdin])


@agent(pledge="")
async def shout(proc, *words):
    return " ".join(map(str, words)).upper()


@agent(pledge="")
async def fails(proc, text=""):
    raise ValueError("no")


@agent(pledge="")
async def data(proc):
    return {"a": [1, 2]}


@agent(pledge="pipe")
async def slow(proc):
    await proc.stdout.write("first\\n")
    await proc.sleep(3600)
"""
FLEET = """
version: 1
name: press
models: {default: {driver: scripted, file: script.json}}
agents:
  research: {instruction: You look things up., about: Looks things up.}
  write: {instruction: You write., about: Writes.}
  double: {program: stages.py:double}
entry: research
"""
RULES: list[dict[str, Any]] = [
    {"when": "^bees$", "text": "Bees have six legs."},
    {"when": "^In one word.*six legs", "text": "Six!"},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stages.py").write_text(STAGES)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "script.json").write_text(json.dumps({"rules": RULES}))
    return tmp_path


def piped(
    folder: Path, *stages: str, more: tuple[str, ...] = (), home: str = "home"
) -> subprocess.CompletedProcess[str]:
    """Stages of `stages.py`, by their functions."""
    target = " | ".join(f"{folder}/stages.py:{stage}" for stage in stages)
    return prytany("run", target, *more, home=folder / home)


def test_streams_go_through_and_the_last_is_shown(folder: Path) -> None:
    done = piped(folder, "count 4", "double")
    assert (done.returncode, done.stdout) == (0, "0\n2\n4\n6\n"), done.stderr
    assert piped(folder, "count 200", "double", "total", home="b").stdout == "39800\n"


def test_agents_of_a_fleet_are_asked_what_comes_before_them(folder: Path) -> None:
    done = prytany("run", "research bees | write 'In one word'", "--fleet", str(folder), home=folder / "home")
    assert (done.returncode, done.stdout) == (0, "Six!\n"), done.stderr
    rows = [json.loads(line) for line in prytany("tree", "--json", home=folder / "home").stdout.splitlines()]
    assert len({row["run"] for row in rows}) == 1


def test_programs_and_agents_mix_and_who_reads_no_stream_has_it_as_an_argument(folder: Path) -> None:
    shout = f"{folder}/stages.py:shout"
    done = prytany("run", f"research bees | {shout} 'a | b' | {shout}", "--fleet", str(folder), home=folder / "home")
    assert (done.returncode, done.stdout) == (0, "A | B BEES HAVE SIX LEGS.\n"), done.stderr
    done = piped(folder, "data", "shout", home="data")
    assert done.stdout == "{'A': [1, 2]}\n", done.stderr


def test_a_stage_that_fails_ends_its_pipe_and_only_the_last_decides_unless_it_is_asked_for(folder: Path) -> None:
    done = piped(folder, "count", "fails", "shout x")
    assert (done.returncode, done.stdout) == (0, "X \n"), done.stderr
    assert "fails: raised" not in done.stdout
    assert "raised ValueError (status 1)" in done.stderr
    assert piped(folder, "count", "fails", "shout x", more=("--pipefail",), home="b").returncode == 1
    assert piped(folder, "count", "fails", home="c").returncode == 1


def test_who_reads_no_more_ends_who_writes(folder: Path) -> None:
    done = piped(folder, "count 1000000", "head 2")
    assert (done.returncode, done.stdout) == (0, "0\n1\n"), done.stderr
    assert "its reader has gone (status 141)" in done.stderr


def test_what_it_gives_is_json_where_a_program_asks(folder: Path) -> None:
    done = piped(folder, "count 2", "double", more=("--json",))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["output"] for line in lines[:-1]] == ["0\n", "2\n"]
    assert lines[-1]["status"] == 0


def test_what_a_stage_writes_cannot_steer_the_terminal(folder: Path) -> None:
    (folder / "evil.py").write_text(
        'from prytany import agent\n\n\n@agent(pledge="pipe")\nasync def main(proc, *given):\n'
        '    await proc.stdout.write("\\x1b[31mred")\n'
    )
    done = prytany("run", f"{folder}/evil.py:main | {folder}/evil.py:main", home=folder / "home")
    assert done.stdout == "\\x1b[31mred\n", done.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("research bees | | write", "stage 2 of 3 is empty"),
        ("research bees | nobody", "there is no agent 'nobody'"),
        ("research bees | nowhere.py:main", "nowhere.py"),
        ("research | write", "is asked nothing"),
    ],
)
def test_stages_that_are_none_are_refused_before_anything_is_made(folder: Path, target: str, said: str) -> None:
    done = prytany("run", target, "--fleet", str(folder), home=folder / "home")
    assert done.returncode not in (0, 70), done.stderr
    assert said in done.stderr
    assert not (folder / "home").exists()


@pytest.mark.parametrize("more", [("--entry", "write"), ("--input", "."), ("--arg", "a=1")])
def test_what_is_for_one_program_is_refused(folder: Path, more: tuple[str, ...]) -> None:
    assert piped(folder, "count", "double", more=more).returncode == 2
    assert prytany("run", f"{folder}/stages.py:count", "--pipefail", home=folder / "home").returncode == 2


def test_it_is_stopped_and_resumed_as_every_run(folder: Path) -> None:
    home = folder / "home"
    target = f"{folder}/stages.py:slow | {folder}/stages.py:shout"
    with subprocess.Popen(
        command("run", target, home=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stderr is not None
        while "slow" not in (line := run.stderr.readline()):
            assert line
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "resume" in said
    rows = [json.loads(line) for line in prytany("ps", "--json", home=home).stdout.splitlines()]
    assert {row["name"] for row in rows} >= {"pipeline"}
    (row,) = [row for row in rows if row["name"] == "pipeline"]
    assert row["state"] != "terminated"
