"""Every command with every option and argument that it takes, as click knows them, and bad values of each kind.

`parameters` says of each what it is; how a command is called and looked at is here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import click

from prytany.abi.errors import ERRORS
from prytany.cli.failure import wants_json
from prytany.cli.main import app, perform

ERROR = {"errno", "message", "retryable", "detail", "next"}


def leaves(group: click.Group = app, above: Sequence[str] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its words."""
    for name, found in group.commands.items():
        words = (*above, name)
        if not isinstance(found, click.Group):
            yield " ".join(words), found
            continue
        if any(parameter.name == "home" for parameter in found.params):
            yield " ".join(words), found  # it does something by itself
        yield from leaves(found, words)


LEAVES = dict(leaves())


class Told(NamedTuple):
    """What a command said and how it ended."""

    words: list[str]
    code: int
    out: str
    err: str

    @property
    def shown(self) -> str:
        """For a failed test: what was typed, cut."""
        return " ".join(ascii(word[:60]) for word in self.words)


class _Stream(io.TextIOWrapper):
    """As `prytany` has its streams: what cannot be written is escaped."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


def tell(*words: str, stdin: bytes = b"", terminal: bool = False) -> Told:
    """A command line in this process. An exception that comes out of it is a traceback: it is not caught."""
    out, err = _Stream(terminal), _Stream(terminal)
    given = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, "stdin", given):
        code = perform(list(words))
    return Told(list(words), code, out.text(), err.text())


def line(command: str, values: Mapping[str, Sequence[str]], *flags: str) -> list[str]:
    """The words of a command, with those values of its parameters, by name."""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in LEAVES[command].params:
        for value in values.get(str(parameter.name), ()):
            if isinstance(parameter, click.Argument):
                arguments.append(value)
            else:
                options.append(f"{max(parameter.opts, key=len)}={value}")
    return [*command.split(), *options, *flags, "--", *arguments]


def assert_clean(told: Told) -> None:
    """Nothing of what was given reaches the terminal as a command to it."""
    for stream in (told.out, told.err):
        raw = {c for c in stream if not c.isprintable()} - {"\n", "\t"}
        assert not raw, (told.shown, raw, stream[:300])


def error_of(told: Told) -> dict[str, Any]:
    """The error that a refused command told, in one of its forms; what it has to say is looked at."""
    assert_clean(told)
    assert told.code not in (0, 1), told.shown
    lines = told.err.splitlines()
    assert lines, told.shown
    assert "Traceback" not in told.err, told.shown
    if wants_json(told.words):
        error = json.loads(lines[-1])
        assert error.keys() - {"pid", "session", "file", "note"} == ERROR, (told.shown, error)
        for said in (*lines, *told.out.splitlines()):
            assert isinstance(json.loads(said), dict), (told.shown, said[:200])
        assert isinstance(error["detail"], dict), told.shown
        assert error["message"], told.shown
        assert error["next"], (told.shown, error)
        if error["errno"] in ERRORS:
            assert error["retryable"] == ERRORS[error["errno"]].retryable, told.shown
        return dict(error)
    assert lines[-1].startswith("next: "), (told.shown, told.err[:400])
    assert len(lines[-1]) > len("next: "), told.shown
    assert any(said.startswith("prytany: ") for said in lines[:-1]), (told.shown, told.err[:400])
    return {}


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What lies in a folder: what it is, and what it holds. A lock and the store's own files beside it do not count."""
    found: dict[str, tuple[int, bytes]] = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if name in ("journal.db-shm", "journal.db-wal", "lock", "reserve"):
                continue
            held = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path.relative_to(folder))] = (path.lstat().st_mode, held)
    return found
