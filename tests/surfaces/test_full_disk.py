"""A disk that is really full, under a whole kernel: a small tmpfs, which takes root to mount."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Enospc
from prytany.abi.signals import Signal
from prytany.cli.archive import archive_journal
from prytany.cli.journal import verify_home
from prytany.cli.listing import list_processes
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.home import Home
from prytany.kernel.effects import Outside
from prytany.kernel.folding import fold
from prytany.ports.store import StoreError, StoreFull
from prytany.runtime import landlock
from prytany.system import opening
from tests.surfaces import homes
from tests.surfaces.commands import here, prytany

DISK_BYTES, RESERVE_BYTES = 6 << 20, 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


def mount(target: Path, size_bytes: int) -> None:
    target.mkdir()
    if _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", 0, f"size={size_bytes}".encode()):
        pytest.skip("a small disk cannot be mounted here (it takes root)")


def enlarge(disk: Path) -> None:
    """Make room."""
    assert not _libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 32, b"size=64m")  # 32: remount


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small disk, and stores with a small reserve."""

    def small_store(path: Path) -> SqliteStore:
        return SqliteStore(path, reserve_bytes=RESERVE_BYTES)

    monkeypatch.setattr(opening, "SqliteStore", small_store)
    mount(tmp_path / "disk", DISK_BYTES)
    yield tmp_path / "disk"
    _libc.umount2(os.fsencode(tmp_path / "disk"), 2)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)) == 4_096:
                pass
        except OSError:
            pass
    assert shutil.disk_usage(disk).free == 0


async def greedy(home: Path) -> tuple[int, StoreError]:
    """Run a program that never has enough; its pid, and what stopped the kernel."""
    shard = await homes.open_home(home)
    try:
        pid = homes.spawn(shard, home, "steps", 100_000, 20_000)
        async with asyncio.timeout(60):
            return pid, await shard.failed
    finally:
        await shard.close()


def calls_of(home: Path) -> int:
    reader = SqliteReader(home / "journal.db")
    try:
        return fold(reader)[0].table.processes[1].usage.calls
    finally:
        reader.close()


async def steered(home: Path, signal: int) -> None:
    """What the operator commands while nothing runs: recorded, and durable."""
    held = Home(home, create=False)
    store, reader, keyring, folded = opening.open_journal(held)
    failed: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
    nothing: Any = None
    idle = Outside(homes.SystemClock(), {}, nothing)
    ledger = homes.Ledger(folded.state, keyring, homes.SystemClock(), lambda entry: None)
    kernel = homes.Kernel(ledger, idle, {}, reader, nothing, os.urandom, running_max=1)
    kernel.idle = True
    journal = homes.Journal(
        store,
        asyncio.get_running_loop(),
        folded.head,
        ledger.on_durable,
        failed.set_result,
        anchor=homes.Anchor(held.anchor),
    )
    ledger.attach(journal)
    ledger.snapshots.begin(folded)
    try:
        kernel.operator.signal(1, signal, uid=0)
        await journal.wait_durable(journal.head.seq)
    finally:
        await journal.close()
        reader.close()
        store.close()
        held.close()


def test_a_full_disk_stops_the_kernel_and_loses_nothing(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = disk / "home"
    pid, error = asyncio.run(greedy(home))
    assert isinstance(error, StoreFull)
    fill(disk)
    before = calls_of(home)
    assert before > 10
    list_processes(home, as_json=False)
    assert "running" in capsys.readouterr().out
    assert verify_home(home, "", as_json=False) == 0
    # Going on while it is full ends in the same way, and begins nothing.
    assert isinstance(asyncio.run(going_on(home)), StoreFull)
    assert calls_of(home) == before
    # With room it goes on where it was.
    enlarge(disk)
    assert asyncio.run(going_on(home)) is None
    assert calls_of(home) >= before + 5
    assert pid == 1


async def going_on(home: Path) -> StoreError | None:
    """Open the home again until it has made some calls more (None), or cannot."""
    more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = 5

    def watch(seq: int, time_ns: int, events: Any) -> None:
        nonlocal left
        left -= any(isinstance(event, ev.CallDone) for event in events)
        if left <= 0 and not more.done():
            more.set_result(None)

    shard = await homes.open_home(home, watch=watch)
    try:
        async with asyncio.timeout(60):
            first: list[asyncio.Future[Any]] = [more, shard.failed]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        return shard.failed.result() if shard.failed.done() else None
    finally:
        await shard.close()


def test_on_a_full_disk_the_operator_can_look_and_kill(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = disk / "home"
    asyncio.run(greedy(home))
    fill(disk)
    asyncio.run(steered(home, Signal.STOP))
    list_processes(home, as_json=False)
    assert "stopped" in capsys.readouterr().out
    for number in (Signal.CONT, Signal.STOP, Signal.CONT, Signal.KILL):
        asyncio.run(steered(home, number))
    list_processes(home, as_json=False)
    assert "killed" in capsys.readouterr().out
    assert verify_home(home, "", as_json=False) == 0


def test_on_a_full_disk_older_entries_move_to_another_and_there_is_room_again(disk: Path, tmp_path: Path) -> None:
    home = disk / "home"
    homes.make_home(home, count=200)
    fill(disk)
    with pytest.raises(Enospc):
        archive_journal(home, disk / "a", "2100-01-01", as_json=True)
    assert {path.name for path in disk.iterdir()} == {"ballast", "home", "program.py"}
    archive_journal(home, tmp_path / "a", "2100-01-01", as_json=True, shrink=True)
    assert shutil.disk_usage(disk).free > RESERVE_BYTES
    assert (home / "journal.db").stat().st_size < (tmp_path / "a").stat().st_size / 3
    assert verify_home(home, "", True, [tmp_path / "a"]) == 0
    assert homes.opens(home) is None


@pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
def test_the_commands_say_what_is_full_and_how_to_go_on(tmp_path: Path) -> None:
    disk, home = tmp_path / "disk", tmp_path / "disk" / "home"
    mount(disk, limits.RESERVE_BYTES + (3 << 20))
    try:
        program = tmp_path / "greedy.py"
        program.write_text(
            "from prytany import agent\n\n@agent()\nasync def greedy(proc):\n"
            "    for number in range(150):\n        await proc.nop(number.to_bytes(4, 'big') * 10_000)\n"
            "    return 'enough'\n"
        )
        run = prytany("run", f"{program}:greedy", "--model", "scripted", home=home)
        assert run.returncode == 75, run.stderr
        assert "is full" in run.stderr
        assert f"prytany resume --home {home}" in run.stderr
        fill(disk)
        assert here("ps", home=home).returncode == 0
        again = prytany("resume", "--model", "scripted", home=home)
        assert again.returncode == 75, again.stderr
        for done in (run, again):
            assert "Traceback" not in done.stderr
        enlarge(disk)
        resumed = prytany("resume", "--model", "scripted", home=home)
        assert resumed.returncode == 0, resumed.stderr
        assert resumed.stdout.strip() == "enough"
    finally:
        _libc.umount2(os.fsencode(disk), 2)


GREEDY = """
from prytany import agent

@agent()
async def main(proc):
    for number in range(10_000):
        await proc.nop(number.to_bytes(4, 'big') * 10_000)
"""


@pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
def test_an_up_on_a_full_disk_says_so_each_time_and_how_to_go_on(tmp_path: Path) -> None:
    disk, home = tmp_path / "disk", tmp_path / "disk" / "home"
    (tmp_path / "main.py").write_text(GREEDY)
    agents = "agents: {main: {program: main.py:main, service: true}}"
    (tmp_path / "fleet.yaml").write_text(f"version: 1\nname: greedy\n{agents}\n")
    mount(disk, limits.RESERVE_BYTES + (3 << 20))
    try:
        done = [prytany("up", str(tmp_path), "--model", "scripted", home=home)]
        fill(disk)
        done += [prytany("up", str(tmp_path), "--model", "scripted", home=home) for _ in range(2)]
        assert [up.returncode for up in done] == [75] * 3, done
        for up in done:
            assert f"go on with: prytany up --home {home}" in up.stderr
            assert "Traceback" not in up.stderr
        assert here("ps", home=home).returncode == 0
        assert verify_home(home, "", as_json=True) == 0
    finally:
        _libc.umount2(os.fsencode(disk), 2)
