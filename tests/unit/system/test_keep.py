"""Keeping the sound part of a journal: few transactions, whole or not there, and the original as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prytany.abi.errors import Ebusy
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal import salvage
from prytany.journal.anchor import Anchor
from prytany.journal.home import Home
from prytany.ports.store import Body
from prytany.system import keep
from prytany.system.keep import keep_home
from prytany.system.opening import load_keyring
from tests.surfaces.homes import make_home, opens

BODIES = 60


class Stopped(BaseException):
    """The machine stopped."""


class Stopping:
    """Stops at one of the steps."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            raise Stopped


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with many large bodies."""
    home = tmp_path_factory.mktemp("made") / "home"
    make_home(home, count=5)
    reader = SqliteReader(home / "journal.db")
    head = reader.head()
    assert head is not None
    reader.close()
    keyring = load_keyring(home / "keys")
    store = SqliteStore(home / "journal.db")
    large = [f"{number}".encode() * 5_000 for number in range(BODIES)]
    store.commit([], [keep_body(keyring, content) for content in large])
    store.close()
    return home


def keep_body(keyring: Any, content: bytes) -> Any:
    return Body(0, keyring.digest(0, content), keyring.key_id(0), content)


def contents(home: Path) -> dict[str, bytes]:
    """All but the lock, which names who had it last."""
    files = (path for path in home.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(home)): path.read_bytes() for path in files}


def steps(patch: pytest.MonkeyPatch, step: Callable[[], None]) -> None:
    """Call `step` before and after everything that a copy writes."""
    for owner, name in (
        (SqliteStore, "commit"), (SqliteStore, "save_snapshot"), (Anchor, "write"), (keep, "save_keyring"),
        (shutil, "copytree"), (Path, "rename"),
    ):  # fmt: skip
        original = getattr(owner, name)

        def stepped(*args: Any, original: Callable[..., Any] = original, **kwargs: Any) -> Any:
            step()
            result = original(*args, **kwargs)
            step()
            return result

        patch.setattr(owner, name, stepped)


def test_large_bodies_are_copied_many_in_a_transaction(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    commit = SqliteStore.commit

    def counted(store: SqliteStore, rows: Any, bodies: Any, **kwargs: Any) -> None:
        commits.append(len(bodies))
        commit(store, rows, bodies, **kwargs)

    monkeypatch.setattr(SqliteStore, "commit", counted)
    kept, _ = keep_home(made, tmp_path / "new")
    assert kept.bodies >= BODIES
    assert len(commits) == 3  # the rows, the bodies, and that they were kept
    monkeypatch.setattr(salvage, "BYTES_AT_ONCE", 50_000)
    commits.clear()
    kept, _ = keep_home(made, tmp_path / "other")
    assert sum(commits) == kept.bodies
    assert 5 < len(commits) < kept.bodies
    assert max(commits) <= 12


def test_wherever_it_is_stopped_the_original_is_as_it_was_and_a_second_run_makes_the_home(
    made: Path, tmp_path: Path
) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    shutil.copytree(made, home)
    before, at, whole = contents(home), 0, False
    while not whole:
        at += 1
        with pytest.MonkeyPatch.context() as patch:
            steps(patch, Stopping(at))
            try:
                keep_home(home, new)
                whole = True
            except Stopped:
                assert not new.exists() or opens(new) is None  # all of it, or nothing
                shutil.rmtree(new, ignore_errors=True)
        assert contents(home) == before
    assert at > 10
    assert opens(new) is None
    assert not list(tmp_path.glob(".*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.system.keep import keep_home
commit = SqliteStore.commit
def killed(store, rows, bodies, **kwargs):
    commit(store, rows, bodies, **kwargs)
    if bodies:
        os.kill(os.getpid(), signal.SIGKILL)
SqliteStore.commit = killed
keep_home(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_copy_that_was_killed_is_begun_again_and_one_under_way_is_left_alone(made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    before = contents(made)
    done = subprocess.run([sys.executable, "-c", KILLED, str(made), str(new)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not new.exists()
    assert contents(made) == before
    under_way = Home(tmp_path / ".new.unfinished")
    with pytest.raises(Ebusy):
        keep_home(made, new)
    assert os.path.exists(tmp_path / ".new.unfinished" / "journal.db")
    under_way.close()
    keep_home(made, new)
    assert opens(new) is None
    assert not list(tmp_path.glob(".*"))
