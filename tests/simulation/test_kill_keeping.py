"""What keeps a home is killed at any moment, as is the kernel that works there: the home opens, verifies with the
archives that it named, and has everything that was acknowledged; what is given again goes on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from random import Random  # noqa: TID251 - a seed that the test's name prints

import apsw
import pytest

from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.system.backup import open_copy
from tests.surfaces import homes
from tests.surfaces.commands import ROOT, command, prytany

TIMEOUT_S = 60
COMMANDS = ("archive", "archive", "copy", "shrink", "backup", "forget", "collect", "rebase", "restore")


class Kept:
    """A home under a kernel and under commands, with what was seen of it from outside."""

    def __init__(self, folder: Path, rng: Random) -> None:
        self.folder, self.rng = folder, rng
        self.home, self.acknowledged = folder / "home", folder / "acknowledged"
        self.kernel: subprocess.Popen[str] | None = None
        self.archives = 0

    def start(self) -> None:
        words = [sys.executable, "-m", "tests.surfaces.programs.loaded", self.home, self.acknowledged]
        self.kernel = subprocess.Popen(
            [*map(str, words), str(self.rng.randrange(1 << 30))], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.kernel.stdout is not None
        assert self.kernel.stdout.readline() == "up\n"

    def kill_kernel(self) -> None:
        if self.kernel is not None:
            self.kernel.kill()
            self.kernel.communicate(timeout=TIMEOUT_S)
            self.kernel = None

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.acknowledged.read_text().splitlines() if line.count(" ") == 1]

    def place(self) -> tuple[int, int]:
        """The last archived entry, and the head."""
        with contextlib.closing(SqliteReader(self.home / "journal.db")) as reader:
            head = reader.head()
            return reader.archived(), head.seq if head else 0

    def chain(self) -> list[str]:
        """The archives that lead to where the home begins, as options."""
        last, words = self.place()[0], list[str]()
        ends: dict[int, tuple[Path, int]] = {}
        for path in self.folder.glob("archive-*"):
            reader, about = open_copy(path, "archive")
            reader.close()
            ends.setdefault(about.entries, (path, about.first))
        while last:
            path, first = ends[last]
            words += ["--archive", str(path)]
            last = first - 1
        return words

    def words(self, what: str) -> list[str]:
        archived, head = self.place()
        match what:
            case "archive" | "copy" | "shrink":
                self.archives += 1
                before = self.rng.randrange(archived + 2, max(archived + 3, head))
                to = str(self.folder / f"archive-{self.archives}")
                more = [] if what == "archive" else [f"--{what}"]
                return ["journal", "archive", "--before", str(before), "--to", to, *more]
            case "backup":
                return ["backup", str(self.folder / "backup"), "--force", "--logs"]
            case "forget":
                return ["journal", "forget", self.rng.choice(self.lines()[-20:])[0]]
            case "rebase":
                self.kill_kernel()
                return ["journal", "rebase", *self.chain()]
            case "restore":
                return ["restore-home", str(self.folder / "backup")]
            case _:
                return ["journal", "collect", "--before", "2100-01-01"]

    def step(self, what: str) -> None:
        """Give the command, and kill it or the kernel, or neither, somewhere within it."""
        new = self.folder / f"new-{self.rng.randrange(1 << 40)}"
        words, home = self.words(what), new if what == "restore" else self.home
        given = subprocess.Popen(
            command(*words, "--json", home=home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            given.wait(0.2 + self.rng.random())
        if self.rng.random() < 0.6:
            given.kill()
        elif self.rng.random() < 0.6:
            self.kill_kernel()
        _, said = given.communicate(timeout=TIMEOUT_S)
        assert "Traceback" not in said, said
        if what == "restore" and new.exists():
            assert json.loads(prytany("journal", "verify", "--json", home=new).stdout.splitlines()[-1])["sound"]

    def check(self) -> None:
        """All that was acknowledged is there, sound, and goes on."""
        self.kill_kernel()
        assert self.place()[1] >= max(int(durable) for _, durable in self.lines())
        for more in ([], self.chain()):
            said = prytany("journal", "verify", *more, home=self.home)
            assert said.returncode == 0, said.stdout
        assert homes.opens(self.home) is None
        with contextlib.closing(apsw.Connection(str(self.home / "journal.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Kept]:
    kept = Kept(tmp_path, Random(request.param))
    homes.make_home(kept.home, count=60)
    kept.start()
    yield kept
    kept.kill_kernel()


def run(kept: Kept, steps: int) -> None:
    for number in range(steps):
        what = "archive" if not number else kept.rng.choice(COMMANDS)
        if what == "rebase" and not kept.place()[0]:
            what = "archive"
        if what == "restore" and not (kept.folder / "backup").exists():
            what = "backup"
        kept.step(what)
        if kept.rng.random() < 0.5 or number == steps - 1:
            kept.check()
        if kept.kernel is None:
            kept.start()


@pytest.mark.parametrize("kept", [3], indirect=True)
def test_a_home_whose_keeping_is_killed_has_all_that_was_acknowledged(kept: Kept) -> None:
    run(kept, 1)


@pytest.mark.slow
@pytest.mark.parametrize("kept", range(10, 14), indirect=True)
def test_a_home_whose_keeping_is_killed_again_and_again_has_all_that_was_acknowledged(kept: Kept) -> None:
    run(kept, 8)
