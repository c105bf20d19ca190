"""`prytany init`: a fleet that works at once, in files of one's own, and nothing that is there is changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prytany.cli.init import FILES, TEMPLATE, fleet_name
from prytany.cli.main import perform
from prytany.cli.new_folder import New
from prytany.system.fleet.schema import schema_text

MADE = [".gitignore", ".prytany", "README.md", "fleet.schema.json", "fleet.yaml", "librarian.py", "notes"]


def prytany(folder: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """As it is typed in `folder`, by somebody who has set nothing."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PRYTANY_")}
    return subprocess.run(
        [sys.executable, "-m", "prytany.cli", *words], cwd=folder, env=environment, input=said,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_it_makes_is_checked_run_and_talked_with_at_once(tmp_path: Path) -> None:
    assert prytany(tmp_path, "init", "my fleet").returncode == 0
    folder = tmp_path / "my fleet"
    assert sorted(path.name for path in folder.iterdir()) == sorted(MADE)
    assert (folder / ".prytany").stat().st_mode & 0o777 == 0o700
    assert prytany(folder, "fleet", "check").stdout.endswith("fleet my-fleet, agents desk, librarian\n")
    ran = prytany(folder, "run", "--arg", "prompt=Who bakes?", "--model", "scripted")
    assert (ran.returncode, ran.stdout) == (0, "Who bakes? [2 words]\n"), ran.stderr
    asked = ["--entry", "librarian", "--arg", "question=What does a loaf cost?"]
    found = prytany(folder, "run", *asked, "--model", "scripted")
    assert found.stdout == "Rye bread is baked on Tuesdays. A loaf of it costs four euros.\n"
    talked = prytany(folder, "chat", "--model", "scripted", said="Good day.\n")
    assert "Good day. [2 words]" in talked.stdout, talked.stderr
    assert "desk" in prytany(folder, "tree").stdout
    assert [path.name for path in (folder / ".prytany").iterdir() if path.name == "journal.db"]


def test_the_schema_that_the_file_names_is_beside_it_and_current(tmp_path: Path) -> None:
    assert perform(["init", str(tmp_path / "a")]) == 0
    first = (tmp_path / "a" / "fleet.yaml").read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert (tmp_path / "a" / named[1]).read_text() == schema_text()


@pytest.mark.parametrize("taken", [*FILES, "fleet.schema.json", ".prytany"])
def test_nothing_is_overwritten_and_nothing_is_made_where_something_is(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert perform(["init", str(tmp_path)]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / taken).read_text() == "mine"


@pytest.mark.parametrize("taken", ["fleet.yaml", "librarian.py"])
def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path, taken: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / taken).symlink_to(tmp_path / "elsewhere")
    assert perform(["init", str(tmp_path / "a")]) == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("link", ["notes", ".prytany"])
def test_a_link_that_leads_to_a_folder_is_not_made_in(tmp_path: Path, link: str) -> None:
    for name in ("a", "elsewhere"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "a" / link).symlink_to(tmp_path / "elsewhere")
    assert perform(["init", str(tmp_path / "a")]) == 2
    assert [path.name for path in (tmp_path / "a").iterdir()] == [link]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_becomes_a_link_after_it_was_looked_at_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    begin = New.begin

    def late(new: New) -> None:
        begin(new)
        (tmp_path / "a" / "notes").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "a" / "README.md").symlink_to(tmp_path / "written")

    monkeypatch.setattr(New, "begin", late)
    assert perform(["init", str(tmp_path / "a")]) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (tmp_path / "written").exists()
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"notes", "README.md"}


@pytest.mark.parametrize("files", range(len(FILES) + 3))
@pytest.mark.parametrize("begun", [False, True])
def test_one_that_was_killed_at_any_file_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, begun: bool
) -> None:
    made: list[str] = []
    whole = New.file

    def killed(new: New, name: str, text: str) -> None:
        if len(made) == files:
            if begun:
                whole(new, name, "")
            raise KeyboardInterrupt
        made.append(name)
        whole(new, name, text)

    monkeypatch.setattr(New, "file", killed)
    monkeypatch.setattr(New, "take_away", lambda new: None)
    assert perform(["init", str(tmp_path)]) in (0, 130)
    monkeypatch.undo()
    assert perform(["init", str(tmp_path)]) == (2 if files == len(FILES) + 3 else 0)
    assert perform(["fleet", "check", str(tmp_path)]) == 0
    assert (tmp_path / "librarian.py").read_text() == (TEMPLATE / "librarian.py").read_text()
    assert perform(["init", str(tmp_path)]) == 2


def test_a_disk_without_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))
    try:
        assert perform(["init", str(tmp_path / "a" / "b")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_home_is_no_place_for_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("mine")
    assert perform(["init", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]


def test_a_project_keeps_its_readme_and_what_git_ignores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("README.md", ".gitignore"):
        (tmp_path / name).write_text("mine")
    assert perform(["init", str(tmp_path)]) == 0
    assert {(tmp_path / name).read_text() for name in ("README.md", ".gitignore")} == {"mine"}
    assert ".prytany/ belongs into .gitignore" in capsys.readouterr().out


def test_a_home_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".prytany").mkdir(mode=0o700)
    (tmp_path / ".prytany" / "journal.db").write_text("mine")
    assert perform(["init", str(tmp_path)]) == 0
    assert (tmp_path / ".prytany" / "journal.db").read_text() == "mine"


def test_what_cannot_be_made_is_said_and_taken_away_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").write_text("a file where a folder has to be")
    assert perform(["init", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    assert "[EINVAL]" in capsys.readouterr().err
    assert perform(["init", str(tmp_path / "notes")]) == 2
    assert perform(["init", str(tmp_path / "notes" / "below")]) == 2
    assert perform(["init", str(tmp_path / ("long" * 100))]) == 2
    assert perform(["init", os.fsdecode(os.fsencode(tmp_path) + b"/\xff")]) == 2


def test_it_says_as_json_what_it_made_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert perform(["init", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "folder": str(tmp_path),
        "made": sorted([*(name for name in MADE if name not in ("README.md",)), "notes/bakery.md"]),
        "kept": ["README.md"],
    }


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("my bots", "my-bots"), ("7 dwarfs", "dwarfs"), ("über", "ber"), ("---", "fleet"), ("x" * 200, "x" * 64)],
)
def test_the_fleet_is_called_as_its_folder_is_as_far_as_that_goes(tmp_path: Path, folder: str, expected: str) -> None:
    assert fleet_name(tmp_path / folder) == expected


def test_who_asks_a_chat_agent_nothing_is_told_how(tmp_path: Path) -> None:
    assert perform(["init", str(tmp_path)]) == 0
    ran = prytany(tmp_path, "run", "--model", "scripted")
    assert ran.returncode == 2
    assert "--arg prompt=" in ran.stderr
    odd = prytany(tmp_path, "run", "--arg", "prompt=a", "--arg", "question=b", "--model", "scripted")
    assert (odd.returncode, "no argument 'question'" in odd.stderr) == (2, True)
    assert not (tmp_path / ".prytany" / "journal.db").exists()
    number = prytany(tmp_path, "run", "--arg", "prompt=42", "--model", "scripted")
    assert number.stdout == "42 [1 words]\n"
    assert "prytany init" in prytany(tmp_path / "notes", "run", "--model", "scripted").stderr


def test_a_home_made_by_hand_is_closed_to_others_while_it_is_empty_and_refused_after_that(tmp_path: Path) -> None:
    home = tmp_path / ".prytany"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    assert perform(["init", str(tmp_path)]) == 0
    assert prytany(tmp_path, "run", "--arg", "prompt=a", "--model", "scripted").returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700
    home.chmod(0o755)
    assert "EACCES" in prytany(tmp_path, "run", "--arg", "prompt=a", "--model", "scripted").stderr
