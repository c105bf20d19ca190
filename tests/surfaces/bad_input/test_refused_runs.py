"""A run that is refused has made neither a home nor a folder for its output."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surfaces.bad_input.sweep import error_of, tell

PROGRAM = "async def main(proc): return 1\n"
FLEET = """version: 1
name: small
folders: {output: out}
agents: {one: {program: code/program.py:main, unveil: {output: rw}, tools: [more]}}
tools: {more: {python: code/program.py}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "program.py").write_text(PROGRAM)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRYTANY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PRYTANY_MODEL", raising=False)
    return tmp_path


def test_each_fault_of_a_fleet_file_has_a_line_of_its_own(place: Path) -> None:
    (place / "fleet.yaml").write_text('version: 2\nname: small\nagents: {}\n"two\\nlines\\e[2J": 1\n')
    told = tell("fleet", "check")
    error_of(told)
    first, second, third = told.err.splitlines()
    assert first.startswith("prytany: [EINVAL] fleet.yaml:1:10: version: ")
    assert second.startswith("prytany: [EINVAL] fleet.yaml:4:1: two\\nlines\\x1b[2J: there is no such key")
    assert third == "next: mend it, and look again with: prytany fleet check"


@pytest.mark.parametrize(
    "line",
    [
        "run code/program.py:main --output out --model nobody", "run code/program.py:main --output out --python no",
        "run code/program.py:main --output out --arg x", "run code/program.py:main --output out --unveil nowhere",
        "run code/program.py:main --output out --input nowhere", "run code/program.py:no --output out",
        "run fleet.yaml --model scripted", "run fleet.yaml --trust --model nobody", "run fleet.yaml --trust --entry no",
        "run fleet.yaml --trust --input code", "run fleet.yaml --trust --python x", "run code/program.py:main --trust",
        "run code/program.py:main --entry one", "up --model scripted", "chat one --model scripted",
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(place: Path, line: str) -> None:
    error_of(tell(*line.split()))
    assert sorted(path.name for path in place.iterdir()) == ["code", "fleet.yaml"]
