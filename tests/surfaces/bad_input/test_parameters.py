"""Every parameter of every command with bad values: refused with an errno and with what to do next, or taken and
harmless; never a traceback, nothing that reaches the terminal as a command to it, and nothing changed."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import click
import pytest

from prytany.abi.errors import Enospc
from prytany.cli import run, up
from tests.surfaces.bad_input.parameters import FLAG, TEXTS, kind_of
from tests.surfaces.bad_input.sweep import LEAVES, assert_clean, error_of, line, tell, tree
from tests.surfaces.homes import make_home

PROGRAM = "from prytany import agent\n\n@agent\nasync def main(proc): return 1\n"
FLEET = """version: 1
name: small
agents: {one: {instruction: hi}}
models: {default: {driver: scripted}}
"""
ACCEPTED = "a kernel would run"
NEEDS_NOBODY = ("doctor", "fleet schema", "completion", "models fetch")


def _make_places(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM)
    (folder / "broken.py").write_text("async def main(:\n")
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "binary").write_bytes(bytes(range(256)) * 50)
    (folder / "binary.yaml").write_bytes(bytes(range(256)) * 50)
    (folder / "loop").symlink_to("loop")
    (folder / "closed").write_text("")
    (folder / "closed").chmod(0)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "socket"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which two processes have ended."""
    made = tmp_path_factory.mktemp("made") / "home"
    make_home(made, count=2)
    return made


@pytest.fixture
def place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a home, and with what is no home and no program; no kernel comes up in it."""
    shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("reserve"))
    (tmp_path / "models").mkdir()
    _make_places(tmp_path)

    async def no_kernel(*given: object, **more: object) -> Any:
        raise Enospc(ACCEPTED)

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PRYTANY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRYTANY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRYTANY_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(run, "open_shard", no_kernel)
    monkeypatch.setattr(up, "open_shard", no_kernel)
    return tmp_path


def words(command: str, parameter: str, value: str, *flags: str) -> list[str]:
    """A command that is right but for that parameter."""
    values = {
        str(p.name): [kind_of(command, str(p.name)).good]
        for p in LEAVES[command].params
        if p.required or (command, p.name) in (("models try", "prompt"), ("incidents give", "value"), ("send", "body"))
    }
    if command in ("run", "up", "chat", "resume"):
        values["model"] = ["scripted"]
    if (command, parameter) == ("run", "entry"):
        values["target"] = ["fleet.yaml"]
    if (command, parameter) == ("restore-home", "head"):
        values["home"] = ["restored"]
    return line(command, {**values, parameter: [value]}, *flags)


def sweep(command: str, cases: list[tuple[str, str, bool]], both: bool) -> None:
    """Those that are `bad` are refused, the others are refused or taken; in one of both forms, or in both."""
    for number, (parameter, value, bad) in enumerate(cases):
        for form in ((), ("--json",)) if both else ((("--json",) if number % 2 else ()),):
            told = tell(*words(command, parameter, value, *form))
            assert_clean(told)
            assert not bad or told.code not in (0, 1, 3), (told.shown, told.out)
            if told.code not in (0, 1, 3) or bad:
                error = error_of(told)
                assert not bad or ACCEPTED not in (error.get("message") or told.err), told.shown


def cases_of(command: str) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = []
    for parameter in LEAVES[command].params:
        kind = kind_of(command, str(parameter.name))
        found += [(str(parameter.name), value, True) for value in kind.bad]
        found += [(str(parameter.name), value, False) for value in kind.odd if value not in kind.bad]
    return found


def test_every_parameter_has_a_kind_and_every_flag_is_one() -> None:
    for command, found in LEAVES.items():
        for parameter in found.params:
            kind = kind_of(command, str(parameter.name))
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            assert (kind is FLAG) == is_flag, (command, parameter.name)


@pytest.mark.parametrize("command", [name for name in LEAVES if cases_of(name)])
def test_bad_values_are_refused_and_change_nothing(place: Path, command: str) -> None:
    cases = cases_of(command)
    few = [case for n, case in enumerate(cases) if case[1] not in TEXTS or n % 3 == len(command) % 3]
    before = tree(place)
    sweep(command, [case for case in few if case[2]], both=False)
    assert tree(place) == before
    sweep(command, [case for case in few if not case[2]], both=False)


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in LEAVES if cases_of(name)])
def test_all_bad_values_are_refused_in_both_forms(place: Path, command: str) -> None:
    sweep(command, sorted(cases_of(command), key=lambda case: not case[2]), both=True)
