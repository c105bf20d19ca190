"""The main job, as a user runs it: real processes, real workers, the scripted model, and a kernel that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.surfaces.commands import ROOT, command, here, prytany

DOCUMENTS = ROOT / "examples" / "digest" / "documents"


def run_arguments(output: Path) -> list[str]:
    target = "examples/digest/main.py:editor"
    return ["run", target, "--input", str(DOCUMENTS), "--output", str(output), "--model", "scripted"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("whole")
    done = prytany(*run_arguments(folder / "out"), home=folder / "home")
    assert done.returncode == 0, done.stderr
    text = (folder / "out" / "digest.md").read_text()
    assert text.strip() in done.stdout
    return folder / "home", text


def test_the_digest_names_every_document(finished: tuple[Path, str]) -> None:
    for document in DOCUMENTS.iterdir():
        assert f"## {document.name}" in finished[1]


def test_the_journal_of_a_run_verifies_and_a_kept_head_fits(finished: tuple[Path, str]) -> None:
    head = here("journal", "head", home=finished[0]).stdout.strip()
    verified = here("journal", "verify", "--head", head, home=finished[0])
    assert verified.returncode == 0, verified.stdout


def test_ps_and_trace_show_the_run_as_json(finished: tuple[Path, str]) -> None:
    rows = [json.loads(line) for line in here("ps", "--json", home=finished[0]).stdout.splitlines()]
    assert [(row["name"], row["state"], row["status"]) for row in rows] == [("editor", "terminated", 0)]
    events = [json.loads(line) for line in here("trace", "1", "--json", home=finished[0]).stdout.splitlines()]
    assert sum(e.get("call") == "process_spawn" for e in events) == len(list(DOCUMENTS.iterdir()))


@pytest.mark.parametrize("answers", [1, 3, 6])
def test_a_run_that_is_killed_is_resumed_to_the_same_byte_with_no_answer_asked_twice(
    tmp_path: Path, finished: tuple[Path, str], answers: int
) -> None:
    home = tmp_path / "home"
    words = command(*run_arguments(tmp_path / "out"), home=home)
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        seen = 0
        for line in run.stderr:
            seen += "has its answer" in line
            if seen == answers:
                os.kill(run.pid, signal.SIGKILL)
                break
    resumed = prytany("resume", "--model", "scripted", home=home)
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "out" / "digest.md").read_text() == finished[1]
    assert resumed.stderr.count("has its answer") <= len(list(DOCUMENTS.iterdir())) - answers
    assert here("journal", "verify", home=home).returncode == 0


def test_a_document_that_cannot_be_read_is_in_the_digest_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "away.md").symlink_to("/etc/hostname")
    (tmp_path / "in" / ("long" * 50 + ".md")).write_text("A text.")
    (tmp_path / "in" / os.fsdecode(b"\xff.md")).write_text("Whose name is no UTF-8.")
    target = ["run", "examples/digest/main.py:editor", "--input", str(tmp_path / "in"), "--model", "scripted"]
    done = prytany(*target, "--output", str(tmp_path / "out"), home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "digest.md").read_text()
    assert text.count("## ") == 2
    (why,) = [line for line in text.splitlines() if line.startswith("(not read")]
    assert "leads out of what is unveiled" in why


def test_a_program_that_is_not_there_is_a_line_and_not_a_traceback(tmp_path: Path) -> None:
    missing = here("run", "nowhere.py:main", "--model", "scripted", home=tmp_path / "home")
    assert missing.returncode == 2
    assert "ENOENT" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_a_run_that_is_interrupted_says_how_to_go_on_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = command(*run_arguments(tmp_path / "out"), home=home)
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "asks the model" in line:
                run.send_signal(signal.SIGINT)
                break
        rest = run.stderr.read()
    assert run.returncode == 130
    assert "prytany resume" in rest
    assert "Traceback" not in rest
    assert prytany("resume", "--model", "scripted", home=home).returncode == 0
    assert (tmp_path / "out" / "digest.md").exists()


def test_a_second_kernel_on_one_home_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = command(*run_arguments(tmp_path / "out"), home=home)
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "starts" in line:
                os.kill(run.pid, signal.SIGSTOP)
                break
        second = here("resume", "--model", "scripted", home=home)
        os.kill(run.pid, signal.SIGCONT)
        run.stderr.read()
    assert second.returncode == 2
    assert "EBUSY" in second.stderr
    assert run.returncode == 0
