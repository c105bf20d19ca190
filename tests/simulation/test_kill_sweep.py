"""G1, G4, G6, G7 with real kills: a kernel on SQLite, with confined workers and an endpoint that counts, dies by
SIGKILL before or after an append, and another one goes on. The slow sweep does it at every entry."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import read_anchor
from prytany.journal.digests import Keyring
from prytany.journal.verify import verify
from prytany.kernel.content import said
from prytany.kernel.folding import fold
from prytany.testing.model_endpoint import ModelEndpoint
from tests.simulation.sweep import kill_everywhere, kill_once

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = 8
ENTRIES_ABOUT = 40
"""Entries of the fleet, give or take what concurrent calls share; the sweep goes on until no kill happens."""


async def live(
    home: Path, url: str, stop_at: int = 0, when: str = "before", driver: str = "killed_kernel"
) -> dict[str, Any] | None:
    """One life of a kernel: the root's end, or None when it was killed."""
    output = home.parent / "out"
    output.mkdir(exist_ok=True)
    arguments = [str(home), str(output), url, str(stop_at), when]
    kernel = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.simulation.{driver}", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await kernel.communicate()
    if kernel.returncode == -signal.SIGKILL:
        return None
    assert kernel.returncode == 0, errors.decode()
    end: dict[str, Any] = json.loads(said.splitlines()[-1])
    return end


def rows_of(home: Path) -> list[tuple[int, bytes, bytes]]:
    reader = SqliteReader(home / "journal.db")
    rows = [(row.seq, row.hash, row.record) for row in reader.rows(1)]
    reader.close()
    return rows


def events_of(home: Path) -> list[ev.Event]:
    return [event for _, _, record in rows_of(home) for event in ev.decode_entry(record).events]


def check_sound(home: Path) -> None:
    reader = SqliteReader(home / "journal.db")
    keyring = Keyring.load((home / "keys").read_bytes(), os.urandom)
    anchor = read_anchor(home / "head")
    report = verify(reader, keyring, said, anchor=anchor)
    assert report.sound, list(map(str, report.findings))
    for process in fold(reader)[0].table.processes.values():
        assert not process.alive
    reader.close()


async def kill_and_resume(folder: Path, stop_at: int, when: str) -> bool:
    """Whether the kernel was killed there; the rest is checked here."""
    where = f"killed {when} entry {stop_at}"
    home = folder / "home"
    async with ModelEndpoint() as endpoint:
        first = await live(home, endpoint.base_url, stop_at, when)
        if first is not None:
            return False
        durable = rows_of(home) if (home / "journal.db").exists() else []
        assert len(durable) == (stop_at if when == "after" else stop_at - 1), where
        asked = {(e.pid, e.n) for e in events_of(home) if isinstance(e, ev.CallOpened) and e.call == "model_chat"}
        closed = {(e.pid, e.n) for e in events_of(home) if isinstance(e, ev.CallClosed)}
        in_flight = len(asked - closed)
        # A second kill in the recovery itself, a little later; then a life to the end.
        again = await live(home, endpoint.base_url, stop_at + 3, when)
        opened = {(e.pid, e.n) for e in events_of(home) if isinstance(e, ev.CallOpened) and e.call == "model_chat"}
        done = {(e.pid, e.n) for e in events_of(home) if isinstance(e, ev.CallClosed)}
        in_flight += 0 if again is not None else len(opened - done)
        ended = again or await live(home, endpoint.base_url)
        assert ended is not None, where
        assert ended["status"] == 0, f"{where}: {ended}"
        said = ended["result"]["said"]
        assert [len(answers) for answers in said] == [4, 4], where
        assert (folder / "out" / "result.txt").read_text() == repr(said), where
        assert rows_of(home)[: len(durable)] == durable, where
        ends = [(e.pid, e.n) for e in events_of(home) if isinstance(e, ev.CallClosed)]
        assert len(ends) == len(set(ends)), f"{where}: a call was answered twice"
        assert endpoint.total <= QUESTIONS + in_flight, f"{where}: {endpoint.total} calls, {in_flight} were in flight"
        assert len(endpoint.calls) == QUESTIONS, where
    check_sound(home)
    return True


def check(stop_at: int, when: str) -> bool:
    return kill_once(check, kill_and_resume, stop_at, when)


@pytest.mark.parametrize(("stop_at", "when"), [(2, "before"), (9, "after"), (21, "before")])
def test_a_kernel_that_is_killed_at_an_append_goes_on(stop_at: int, when: str) -> None:
    assert check(stop_at, when)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kernel_that_is_killed_at_any_append_goes_on(when: str) -> None:
    assert kill_everywhere(check, when) > ENTRIES_ABOUT
