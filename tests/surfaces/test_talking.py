"""Fleets that stay, and people who talk with their agents: up, down, chat, attach, on real kernels and workers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.commands import ROOT, command, here, prytany

FLEET = """
version: 1
name: talk
models: {default: {driver: scripted, file: script.json}}
agents:
  friend: {instruction: "You are a friend.", about: Talks.}
  clerk: {instruction: "You count.", answer: {type: object, properties: {n: {type: integer}}, required: [n]}}
entry: friend
"""
SCRIPT = {
    "rules": [
        {"when": "slowly", "text": "One two three.", "latency_ms": 60_000},
        {"when": "count", "text": '{"n": 3}'},
        {"when": "colour", "text": "\x1b[31mred\x1b[0m"},
        {"when": "broken", "failure": {"kind": "bad_request", "message": "no such thing"}},
    ]
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    return tmp_path


@contextmanager
def up(folder: Path) -> Iterator[Path]:
    """The fleet up on a kernel of its own; its home."""
    home = folder / "home"
    with subprocess.Popen(
        command("up", str(folder), home=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as kernel:
        assert kernel.stdout is not None
        while "is up" not in (line := kernel.stdout.readline()):
            assert line, kernel.communicate()
        try:
            yield home
        finally:
            kernel.send_signal(signal.SIGTERM)
            _, said = kernel.communicate(timeout=60)
            assert kernel.returncode == 0, said


def talk(*words: str, home: Path, typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, home=home), input=typed, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def test_a_session_without_a_kernel_has_one_of_its_own_and_ends_with_its_lines(folder: Path) -> None:
    home = folder / "home"
    done = talk("chat", "--fleet", str(folder), home=home, typed="Hello there. You?\n\n  \nAnd now?\n")
    assert (done.returncode, done.stdout) == (0, "Hello there. [3 words]\nAnd now? [2 words]\n"), done.stderr
    (row,) = [json.loads(line) for line in here("ps", "--json", home=home).stdout.splitlines()]
    assert row["reason"] == "its session ended"
    for words in (("ps",), ("tree",), ("inspect", "1"), ("trace", "1")):
        shown = here(*words, home=home).stdout
        assert ("its session ended" in shown, "SIGTERM" in shown, re.search(r"(?<![.\d])143\b", shown)) == (
            True,
            False,
            None,
        ), shown
    assert (row["state"], row["status"]) == ("terminated", 0)


def test_what_a_model_says_cannot_steer_the_terminal(folder: Path) -> None:
    done = talk("chat", "--fleet", str(folder), home=folder / "home", typed="What colour?\n")
    assert done.stdout == "\\x1b[31mred\\x1b[0m\n"


def test_an_error_of_the_model_is_told_and_the_session_goes_on(folder: Path) -> None:
    done = talk("chat", "--fleet", str(folder), home=folder / "home", typed="Something broken.\nHello.\n")
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("[EMODEL: ")
    assert second == "Hello. [1 words]"


def test_a_structured_answer_is_shown_as_json(folder: Path) -> None:
    done = talk("chat", "clerk", "--fleet", str(folder), home=folder / "home", typed="count\n")
    assert json.loads(done.stdout) == {"n": 3}
    told = talk("chat", "clerk", "--fleet", str(folder), "--json", home=folder / "home2", typed="count\n")
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [row["kind"] for row in rows if row["kind"] != "piece"] == ["model", "reply"]
    assert rows[-1]["value"] == {"answer": {"n": 3}}


def test_ctrl_c_ends_an_answer_and_not_the_session(folder: Path) -> None:
    words = command("chat", "--fleet", str(folder), "--json", home=folder / "home")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdin is not None
        assert run.stdout is not None

        def until(kind: str) -> dict[str, Any]:
            assert run.stdout is not None
            while (said := json.loads(run.stdout.readline()))["kind"] != kind:
                pass
            found: dict[str, Any] = said
            return found

        run.stdin.write("Speak slowly.\n")
        run.stdin.flush()
        until("model")
        run.send_signal(signal.SIGINT)
        assert until("reply")["value"] == {"interrupted": True}
        run.stdin.write("Hello again.\n")
        run.stdin.flush()
        assert until("reply")["value"] == {"answer": "Hello again. [2 words]"}
        run.send_signal(signal.SIGINT)  # between two answers it ends the session
        assert run.wait(60) == 130


def test_a_session_that_is_kept_is_come_back_to_and_taken_down_with_its_fleet(folder: Path) -> None:
    with up(folder) as home:
        kept = talk("chat", "friend", "--keep", home=home, typed="Good morning.\n")
        assert (kept.returncode, kept.stdout) == (0, "Good morning. [2 words]\n"), kept.stderr
        again = talk("attach", "1", home=home, typed="Still there?\n")
        assert (again.returncode, again.stdout) == (0, "Still there? [2 words]\n"), again.stderr
        down = prytany("down", "--json", home=home)
        assert json.loads(down.stdout) == {"fleet": "talk", "ended": 1}
        assert prytany("wait", "1", home=home).returncode == 0
        (ended,) = [json.loads(line) for line in here("sessions", "--all", "--json", home=home).stdout.splitlines()]
        assert ended["reason"] == "its fleet was taken down"
        gone = talk("attach", "1", home=home, typed="Anybody?\n")
        assert gone.returncode == 2
        assert talk("chat", "friend", home=home, typed="x\n").returncode == 2


def test_bringing_it_again_says_what_changes_and_changes_it_for_who_comes_after(folder: Path) -> None:
    with up(folder) as home:
        assert "nothing changed" in prytany("up", str(folder), home=home).stdout
        text = FLEET.replace("a friend", "a good friend").replace("  clerk:", "  teller:")
        (folder / "fleet.yaml").write_text(text.replace("file: script.json", "limits: {concurrency: 2}"))
        plan = json.loads(prytany("up", str(folder), "--dry-run", "--json", home=home).stdout)
        assert (plan["added"], plan["changed"], plan["removed"], plan["models"]) == (
            ["teller"], ["friend"], ["clerk"], ["default"],
        )  # fmt: skip
        assert json.loads(prytany("up", str(folder), "--dry-run", "--json", home=home).stdout) == plan
        assert "~ agent friend: instruction" in prytany("up", str(folder), home=home).stdout
        assert talk("chat", "clerk", home=home, typed="count\n").returncode == 2
        assert talk("chat", "friend", home=home, typed="What colour?\n").stdout == "What colour? [2 words]\n"


def test_a_hang_up_lets_it_look_at_the_file_again_and_a_fault_in_it_changes_nothing(folder: Path) -> None:
    home, file = folder / "home", folder / "fleet.yaml"
    with subprocess.Popen(
        command("up", str(folder), "--json", home=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    ) as kernel, ExitStack() as stack:  # fmt: skip
        stack.callback(kernel.kill)
        assert kernel.stdout is not None
        assert kernel.stderr is not None
        assert json.loads(kernel.stdout.readline())["added"] == ["clerk", "friend"]
        assert any(json.loads(line)["note"].startswith("home ") for line in kernel.stderr)
        file.write_text("agents: [")
        kernel.send_signal(signal.SIGHUP)
        assert json.loads(kernel.stderr.readline())["note"] == "the fleet goes on as it was:"
        assert json.loads(kernel.stderr.readline())["errno"] == "EINVAL"
        file.write_text(FLEET.replace("You count.", "You count well."))
        kernel.send_signal(signal.SIGHUP)
        assert json.loads(kernel.stdout.readline())["changes"] == [
            {"sign": "~", "kind": "agent", "name": "clerk", "what": ["instruction"]}
        ]
        kernel.send_signal(signal.SIGHUP)
        assert json.loads(kernel.stdout.readline())["changes"] == []
        assert here("down", home=home).returncode == 0
        assert "the fleet talk was taken down from elsewhere" in json.loads(kernel.stderr.readline())["note"]
        kernel.send_signal(signal.SIGTERM)
        assert kernel.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["chat", "nobody", "--fleet", "{folder}"], "there is no chat agent 'nobody'"),
        (["chat", "--fleet", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["attach", "1"], "nothing runs in this home"),
        (["attach", "x"], "not a pid"),
        (["down"], "no home at"),
        (["up", "nowhere"], "there is no fleet file"),
    ],
)
def test_what_cannot_be_talked_to_is_said(folder: Path, words: list[str], expected: str) -> None:
    done = here(*(word.format(folder=folder) for word in words), home=folder / "home")
    assert done.returncode == 2
    assert expected in done.stderr


def test_without_a_name_the_entry_of_the_fleet_that_is_up_is_talked_with_and_only_what_can_be_heeded_is_taken(
    folder: Path,
) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "fleet.yaml").write_text(FLEET.replace("name: talk", "name: other"))
    (other / "script.json").write_text(json.dumps(SCRIPT))
    with up(folder) as home:
        assert talk("chat", home=home, typed="Hello.\n").stdout == "Hello. [1 words]\n"
        done = talk("chat", "--fleet", str(folder), "--say", "Hi.", home=home, typed="")
        assert done.stdout == "Hi. [1 words]\n"
        done = here("chat", "--fleet", str(other), "--say", "Hi.", home=home)
        assert done.returncode != 0
        assert "the fleet other" in done.stderr
        assert f"prytany up {other}" in done.stderr
        done = here("chat", "--model", "scripted", "--say", "Hi.", home=home)
        assert done.returncode != 0
        assert "--model is for a kernel that begins" in done.stderr
        done = here("up", str(folder), "--running", "3", "--drain", "5", home=home)
        assert done.returncode == 0
        assert "--running, --drain: only for a kernel that begins" in done.stderr
        done = here("up", str(folder), "--plain", "--unconfined", "--json", home=home)
        assert json.loads(done.stderr)["without_effect"] == ["--unconfined", "--plain"]
        done = here("chat", "--unconfined", "--trust", "--keep", "--grace", "5", "--say", "Hi.", "--json", home=home)
        notes = [note for line in done.stderr.splitlines() if (note := json.loads(line)).get("without_effect")]
        assert [note["without_effect"] for note in notes] == [["--grace"], ["--unconfined", "--trust"]]
        assert "the one that runs" in notes[1]["note"]


def test_a_model_that_nobody_asks_and_workers_that_are_not_confined_are_told(folder: Path) -> None:
    done = here(
        "chat", "--fleet", str(folder), "--model", "scripted", "--unconfined", "--say", "Hi.", home=folder / "home"
    )
    assert (done.returncode, done.stdout) == (0, "Hi. [1 words]\n")
    assert "--model scripted is asked by nobody" in done.stderr
    assert "workers are NOT confined" in done.stderr
