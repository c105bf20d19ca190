"""Every errno, and what a store or a disk says, as a person and as a program is told it: a code, a line, what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from prytany.abi.errors import ERRORS, KernelError, error_of
from prytany.cli import attached
from prytany.cli.failure import NEXT, advised, fail
from prytany.cli.main import app
from prytany.client import Client
from prytany.ports.store import StoreError, StoreFull, StoreLocked
from tests.surfaces.bad_input.parameters import ESCAPES, HALF, kind_of
from tests.surfaces.bad_input.sweep import LEAVES, Told, line, tell
from tests.surfaces.bad_input.sweep import error_of as told_error

CODES = {"wait": (125, 127)}
OTHERS: list[Exception] = [
    StoreError(ESCAPES), StoreFull("full"), StoreLocked("locked"), OSError("bare"), OSError(99_999, "of no name"),
    *(OSError(number, ESCAPES, f"/{HALF}") for number in errno.errorcode),
]  # fmt: skip
CLIENTS = [
    name for name, found in LEAVES.items()
    if any(p.name == "home" for p in found.params)
    and not name.startswith(("run", "resume", "cost", "logs", "trace", "backup", "restore", "journal", "up", "chat"))
]  # fmt: skip
"""Those that ask a kernel, and nothing else."""


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_each_errno_is_told_with_what_to_do(
    name: str, form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (error_of(name, ESCAPES, detail={"what": ESCAPES}), error_of(name, ""), error_of(name, "two\nlines")):
        code = fail(error, app, ["ps", *form])
        said = capsys.readouterr()
        assert (code, said.out) == (2, "")
        if form or error.message:
            assert f"[{name}]" in said.err or f'"errno":"{name}"' in said.err
        assert len(said.err.splitlines()) == (1 if form else 2)
        assert "next" in said.err


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: f"{type(error).__name__} {error.args[0]!a}"[:30])
def test_what_a_store_or_a_disk_says_is_told_the_same(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ((), ("--json",)):
        code = fail(error, app, ["backup", *form])
        said = capsys.readouterr()
        if isinstance(error, BrokenPipeError):
            assert (code, said.err) == (141, "")
            return
        assert code == 2
        told_error(Told(["backup", *form], code, said.out, said.err))


def test_what_is_advised_is_known_and_said_once() -> None:
    assert set(NEXT) <= set(ERRORS)
    error = advised(advised(error_of("EIO", "x"), "first"), "second")
    assert error.__notes__ == ["first"]


@pytest.mark.parametrize("name", ERRORS)
def test_each_errno_of_a_kernel_is_told_by_every_command_that_asks_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Client):
        """Whatever it is asked, it fails like that."""

        async def _ask(self, command: object) -> object:
            raise error_of(name, ESCAPES)

    async def failing(home: Path) -> Client:
        return Failing(home, -1)

    monkeypatch.setattr(attached, "attach", failing)
    for number, command in enumerate(CLIENTS):
        values = {str(p.name): [kind_of(command, str(p.name)).good] for p in LEAVES[command].params if p.required}
        if command in ("pause", "unpause"):
            values["pids"] = ["1"]
        form = ("--json",) if number % 2 else ()
        told = tell(*line(command, {**values, "home": [str(tmp_path)]}, *form), stdin=b"x")
        assert told.code in CODES.get(command, (2,)), (told.shown, told.err)
        told_error(told)


def test_an_errno_that_a_newer_kernel_has_is_told_as_one_that_is_not_known() -> None:
    error = error_of("ENEWER", ESCAPES)
    assert isinstance(error, KernelError)
    assert "ENEWER" in error.message
    assert fail(error, app, []) == 2
