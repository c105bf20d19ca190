"""Forgetting while a kernel runs: what others come to name meanwhile is kept, and what is cut off can be finished."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Einval, Eio, Epipe, Esrch
from prytany.cli.journal import verify_home
from prytany.client import attach
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.bodies import unpack
from prytany.kernel.content import names_of, own_names
from prytany.ports.store import StoreError
from prytany.system.shard import Shard
from tests.surfaces import homes
from tests.surfaces.test_forgetting import LIVING, SECRET, holding

BIG = "what is told to two, at length. " * 1_000


def sound(home: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    status = verify_home(home, "", as_json=True)
    lines = capsys.readouterr().out.splitlines()
    assert status == 0, lines
    said: dict[str, Any] = json.loads(lines[-1])
    return said


async def ended(shard: Shard, home: Path, name: str, *args: object) -> int:
    pid = homes.spawn(shard, home, name, *args)
    await shard.kernel.operator.wait_ended(pid)
    return pid


def forgotten(home: Path) -> list[ev.ContentForgotten]:
    reader = SqliteReader(home / "journal.db")
    events = [e for row in reader.rows(1) for e in ev.decode_entry(row.record).events]
    reader.close()
    return [e for e in events if isinstance(e, ev.ContentForgotten)]


def missing(home: Path, pid: int) -> list[str]:
    """What the events of a process name that is not there."""
    reader = SqliteReader(home / "journal.db")
    gone: list[str] = []
    for row in reader.rows(1):
        packed = dict(unpack(row.bodies))
        for event in ev.decode_entry(row.record).events:
            if getattr(event, "pid", 0) == pid:
                named = [(name, digest) for name, digest in names_of(event) if digest not in packed]
                gone += [name for name, digest in named if reader.body(0, digest) is None]
    reader.close()
    return gone


def test_a_running_kernel_forgets_and_refuses_as_a_stopped_one_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"

    async def run() -> control.Forgotten:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            first = await ended(shard, home, "says", SECRET, 400, "end")
            second = homes.spawn(shard, home, "says", LIVING, 400, "wait")
            for pid, error in ((second, Ebusy), (77, Esrch), (0, Esrch), (-1, Esrch), (1 << 70, Einval)):
                with pytest.raises(error):
                    await client.forget(pid)
            gone = await client.forget(first)
            assert (await client.forget(first)).contents == 0
            assert (await client.inspect(first)).forgotten
            assert [row.forgotten for row in await client.ps()] == [True, False]
            with pytest.raises(Eio):
                await client.wait(first)
            return gone
        finally:
            await client.close()
            await shard.close()

    gone = asyncio.run(run())
    assert gone.contents > 3
    assert gone.freed_bytes == sum(e.freed_bytes for e in forgotten(home)) > 400 * len(SECRET)
    assert holding(home, SECRET) == []
    assert holding(home, LIVING) == ["journal.db"]
    assert sound(home, capsys)["forgotten"] == gone.contents
    assert homes.opens(home) is None


def test_who_listens_is_told_that_what_was_said_is_forgotten(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            pid = homes.spawn(shard, home, "listens", 2, pledge=("proc", "ipc"))
            await client.send(pid, "say", SECRET)
            await client.send(pid, "say", BIG)
            await shard.kernel.operator.wait_ended(pid)
            before = (await client.hear(pid, 0)).said
            assert [s.value["body"] for s in before if s.kind == "said"] == [SECRET, BIG]
            await client.forget(pid)
            after = (await client.hear(pid, 0)).said
            assert [(s.kind, s.number) for s in after] == [(s.kind, s.number) for s in before]
            gone = [s for s in after if s.forgotten]
            assert [(s.kind, s.value) for s in gone] == [
                ("said", {"uid": os.getuid(), "type": "say", "body": None})
            ] * 2  # fmt: skip
            shard.kernel.note((ev.ProcessReaped(pid),))
            with pytest.raises(Esrch, match="was let go"):
                await client.hear(pid, 0)
        finally:
            await client.close()
            await shard.close()

    asyncio.run(run())


class Sly:
    """A reader that lets something happen just after the head was read."""

    def __init__(self, reader: Any, happens: Callable[[], object]) -> None:
        self._reader, self._happens = reader, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def head(self) -> Any:
        found = self._reader.head()
        self._happens()
        return found


@pytest.mark.parametrize("when", ["while the journal is read", "when it is recorded as forgotten"])
def test_what_another_comes_to_name_while_it_is_done_is_kept(
    when: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shard: Shard | None = None
    others: list[int] = []

    def name_it() -> None:
        assert shard is not None
        if not others:
            others.append(homes.spawn(shard, home, "says", BIG, 1, "end"))

    def watch(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        if when.startswith("when") and any(isinstance(e, ev.ContentForgotten) for e in events):
            name_it()

    async def run() -> control.Forgotten:
        nonlocal shard
        shard = await homes.open_home(home, watch=watch)
        client = await attach(home)
        try:
            first = await ended(shard, home, "says", BIG, 1, "end")
            if when.startswith("while"):
                shard.kernel.reader = Sly(shard.kernel.reader, name_it)
            gone = await client.forget(first)
            assert (await client.wait(others[0])).result == BIG
            return gone
        finally:
            await client.close()
            await shard.close()

    gone = asyncio.run(run())
    assert gone.kept >= 1
    assert missing(home, others[0]) == []
    assert sound(home, capsys)["sound"] is True
    assert homes.opens(home) is None


def test_two_at_once_leave_nothing_of_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            parent = await ended(shard, home, "family", SECRET)
            both = await asyncio.gather(client.forget(parent), client.forget(parent + 1))
            assert all(gone.contents for gone in both)
        finally:
            await client.close()
            await shard.close()

    asyncio.run(run())
    assert holding(home, SECRET) == []
    sound(home, capsys)


def test_cut_off_at_any_step_it_is_sound_and_a_second_command_finishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = 0
    for cut in range(9):
        home = tmp_path / f"home{cut}"
        reached = asyncio.run(_cut_off(home, cut))
        sound(home, capsys)
        asyncio.run(_again(home))
        assert holding(home, SECRET) == []
        sound(home, capsys)
        freed_bytes = sum(e.freed_bytes for e in forgotten(home))
        assert freed_bytes == (whole or freed_bytes), "bytes are given back twice, or not at all"
        whole = freed_bytes
        if not reached:
            assert cut > 2
            return
    pytest.fail("it was cut off each time")


async def _cut_off(home: Path, cut: int) -> bool:
    """Forget in a running kernel whose store fails at its `cut`-th destruction; whether there was one."""
    shard = await homes.open_home(home)
    client = await attach(home)
    journal, calls = shard.kernel.ledger.journal, 0
    forget = journal.forget

    def failing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > cut:
            raise StoreError("the disk is gone")
        return forget(*args)

    try:
        first = await ended(shard, home, "says", SECRET, 400, "end")
        journal.forget = failing  # type: ignore[method-assign, assignment]
        with suppress(Eio):
            await client.forget(first)
        return calls > cut
    finally:
        await client.close()
        await shard.close()


async def _again(home: Path) -> None:
    client = await attach(home)
    assert not client.live
    await client.forget(1)
    await client.close()


def test_a_kernel_that_stops_in_the_middle_leaves_what_can_be_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        client = await attach(home)
        first = await ended(shard, home, "says", SECRET, 400, "end")
        journal = shard.kernel.ledger.journal
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def never(*args: Any) -> Any:
            reached.set_result(None)
            return asyncio.get_running_loop().create_future()

        journal.forget = never  # type: ignore[method-assign, assignment]
        asked = asyncio.ensure_future(client.forget(first))
        await reached
        await shard.close()
        with pytest.raises(Epipe):
            await asked
        await client.close()

    asyncio.run(run())
    sound(home, capsys)
    asyncio.run(_again(home))
    assert holding(home, SECRET) == []
    sound(home, capsys)


def test_what_the_operator_gave_is_nobodys_to_forget() -> None:
    """A program's text and a tool's manifest are needed by others of the run, who may name them later."""
    digest = bytes(16)
    for event in (
        ev.ProcessUpgrading(1, digest), ev.ProcessUpgraded(1, digest, 0),
        ev.ToolCalled(1, 1, "look", "pure", [], digest),
    ):  # fmt: skip
        assert list(own_names(event)) == []


def test_what_a_run_was_granted_is_kept_though_a_process_left_the_same(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def run() -> int:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            first = await ended(shard, home, "says", BIG, 1, "end")
            left = shard.kernel.table.require(first).result
            seq = shard.kernel.ledger.commit((ev.ToolsGranted(first, "/tools.py", ["look"], left, left),), {})
            await shard.kernel.wait_durable(seq)
            return (await client.forget(first)).kept
        finally:
            await client.close()
            await shard.close()

    assert asyncio.run(run()) == 1
