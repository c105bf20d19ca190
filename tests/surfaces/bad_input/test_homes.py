"""Every command on a home that is none, damaged, of a newer version, in use, or full of what does not belong there."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from prytany.client import client
from tests.surfaces.bad_input.parameters import kind_of
from tests.surfaces.bad_input.sweep import LEAVES, assert_clean, error_of, line, tell, tree
from tests.surfaces.homes import make_home

PROGRAM = "async def main(proc): return 1\n"
FLEET = "version: 1\nname: small\nagents: {one: {instruction: hi}}\nmodels: {default: {driver: scripted}}\n"
COMMANDS = [name for name, found in LEAVES.items() if any(p.name == "home" for p in found.params)]
FILES = ("journal.db", "keys", "head", "format", "lock", "logs", "control", "reserve", "workers", "trusted")
BEGIN = ("run", "chat", "resume")
"""Those in which a kernel comes up, where the home is one."""
CHANGE = (*BEGIN, "freeze", "journal forget", "journal collect", "journal archive")
"""Those that change this home where they are not refused."""
CODES = {"status": (0, 2, 3), "wait": (0, 125, 127), "journal verify": (0, 1, 2)}
"""Where they are others than 0 and 2."""
Damage = Callable[[Path], None]


def _file(name: str, content: bytes) -> Damage:
    def put(home: Path) -> None:
        _remove(home / name)
        (home / name).write_bytes(content)

    return put


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _folder(name: str) -> Damage:
    def put(home: Path) -> None:
        _remove(home / name)
        (home / name / "inside").mkdir(parents=True)

    return put


def _fifo(name: str) -> Damage:
    def put(home: Path) -> None:
        _remove(home / name)
        os.mkfifo(home / name)

    return put


def _link(name: str, to: str) -> Damage:
    def put(home: Path) -> None:
        _remove(home / name)
        (home / name).symlink_to(to)

    return put


def _without(name: str) -> Damage:
    return lambda home: _remove(home / name)


def _cut(home: Path) -> None:
    whole = (home / "journal.db").read_bytes()
    (home / "journal.db").write_bytes(whole[: len(whole) // 3])


def _only_files(home: Path) -> None:
    shutil.rmtree(home)
    home.mkdir(mode=0o700)
    (home / "notes.txt").write_text("mine")


def _a_file(home: Path) -> None:
    shutil.rmtree(home)
    home.write_text("mine")


def _a_loop(home: Path) -> None:
    shutil.rmtree(home)
    home.symlink_to(home.name)


def _dead_socket(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{home}/control")


DAMAGES: dict[str, Damage] = {
    "missing": shutil.rmtree, "a file": _a_file, "a loop": _a_loop, "no home": _only_files, "cut": _cut,
    "open to all": lambda home: home.chmod(0o777), "newer": _file("format", b"99\n"),
    "far newer": _file("format", b"9" * 5_000), "a dead socket": _dead_socket,
    "garbage as journal.db": _file("journal.db", b"\x1b[2J\x00" * 4_000), "empty journal.db": _file("journal.db", b""),
    **{f"no {name}": _without(name) for name in FILES[:3]},
    **{f"garbage as {name}": _file(name, b"\x1b[2J\x00\xff" * 100) for name in FILES[1:]},
    **{f"a folder as {name}": _folder(name) for name in FILES if name not in ("logs", "workers")},
    **{f"a pipe as {name}": _fifo(name) for name in FILES},
    **{f"a loop as {name}": _link(name, name) for name in FILES},
    **{f"the world as {name}": _link(name, "/dev/zero") for name in FILES},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which two processes have ended."""
    home = tmp_path_factory.mktemp("made") / "home"
    make_home(home, count=2)
    return home


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PRYTANY")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(client, "BUSY_TRIES", 2)
    return tmp_path


def typed(command: str, home: str, *flags: str) -> list[str]:
    """A command that is right, on that home."""
    values = {str(p.name): [kind_of(command, str(p.name)).good] for p in LEAVES[command].params if p.required}
    if command in ("run", "chat", "resume", "up"):
        values["model"] = ["scripted"]
    if command == "journal archive":
        values["before"] = ["2"]
    more = ("--dry-run",) if command == "up" else ()
    return line(command, {**values, "home": [home]}, *flags, *more)


def look(place: Path, made: Path, damage: str, commands: Sequence[str]) -> None:
    for number, command in enumerate(commands):
        home = place / "home"
        for name in ("home", "nowhere"):
            _remove(place / name)
        shutil.copytree(made, home, ignore=shutil.ignore_patterns("reserve"))
        DAMAGES[damage](home)
        before = tree(place)
        told = tell(*typed(command, "home", *(("--json",) if number % 2 else ())))
        assert_clean(told)
        # What is no folder is no home, and so no sense in the command line, before any command is at work.
        codes = (2,) if damage == "a file" else CODES.get(command, (0, 2))
        assert told.code in codes, (told.shown, told.out, told.err)
        if told.code not in (0, 1, 3):
            error_of(told)
        changed = {name for name in tree(place).items() ^ before.items() if not name[0].startswith("nowhere")}
        names = {name for name, _ in changed}
        assert command in CHANGE or names <= MENDED.get(damage, set()), (told.shown, names)
        assert told.code == 0 or damage in SEEN_LATE or names <= MENDED.get(damage, set()), (told.shown, names)


MENDED = {"no head": {"home/head"}, "a dead socket": {"home/control"}}
MENDED |= {name: {"home/workers"} for name in DAMAGES if name.endswith(" as workers")}
"""What opening a home puts right, whatever is commanded then."""
SEEN_LATE = tuple(f"{what} as control" for what in ("garbage", "a folder", "a pipe", "a loop", "the world"))
"""Seen only when a kernel that came up begins to listen."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_home_that_is_wrong_is_refused_and_left_as_it_is(place: Path, made: Path, damage: str) -> None:
    at = list(DAMAGES).index(damage) % 4
    look(place, made, damage, [c for c in COMMANDS if c not in BEGIN][at::4])


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_command_refuses_every_home_that_is_wrong(place: Path, made: Path, damage: str) -> None:
    look(place, made, damage, COMMANDS)
