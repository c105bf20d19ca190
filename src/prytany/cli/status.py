"""`status`: what runs in a home, and what the home takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.control import FleetRow, ProcessRow, Status
from prytany.abi.limits import RESERVE_BYTES
from prytany.cli.attached import command, duration, with_client
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, processes, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.system.opening import store_errors

NOTHING_RUNS = 3
"""As the init scripts of the Linux Standard Base have it for a service that does not run."""
JOURNAL_FILES = ("journal.db", "journal.db-wal", "journal.db-shm")


class Disk(msgspec.Struct, kw_only=True):
    """Bytes on the disk. The bodies lie in the journal's file."""

    journal_bytes: int
    bodies: int
    bodies_bytes: int
    logs_bytes: int
    free_bytes: int
    reserve_bytes: int
    """Kept free for what a full disk makes necessary."""
    reserve_whole: bool


def show_status(home: Path, as_json: bool) -> int:
    """Print it; 0, or 3 when nothing runs there."""

    async def look(client: Client) -> tuple[list[ProcessRow], Status]:
        return await client.ps(), await client.status()

    rows, status = with_client(home, look)
    disk = _disk(home)
    states = dict(sorted(Counter(p.state for p in rows).items()))
    if as_json:
        facts: dict[str, Any] = {**msgspec.structs.asdict(status), "states": states, "disk": disk}
        print(json_line({"runs": bool(status.os_pid), **facts}))
    else:
        for name, value in _lines(status, states, disk, home):
            print(f"{name:<10} {safe(value)}")
        if not status.os_pid:
            say(f"nothing runs here; go on with: {command('resume', home)}")
    return 0 if status.os_pid else NOTHING_RUNS


def _disk(home: Path) -> Disk:
    with store_errors(), closing(open_reader(home)) as reader:
        bodies, bodies_bytes = reader.bodies_bytes()
    room = os.statvfs(home)
    reserve = _size(home / "reserve")
    return Disk(
        journal_bytes=sum(_size(home / name) for name in JOURNAL_FILES), bodies=bodies, bodies_bytes=bodies_bytes,
        logs_bytes=_logs_bytes(home / "logs"), free_bytes=room.f_bavail * room.f_frsize, reserve_bytes=reserve,
        reserve_whole=reserve >= RESERVE_BYTES,
    )  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _logs_bytes(folder: Path) -> int:
    try:
        with os.scandir(folder) as found:
            return sum(_size(Path(entry.path)) for entry in found)
    except OSError:
        return 0


def _lines(s: Status, states: dict[str, int], disk: Disk, home: Path) -> Iterator[tuple[str, str]]:
    yield "version", s.version
    yield "home", s.home
    if s.os_pid:
        yield "kernel", f"process {s.os_pid} of this machine, for {duration(SystemClock().now_ns() - s.since_ns)}"
        yield "confined", "yes" if s.confined else "NO (--unconfined)"
        yield "places", f"{s.running} of {s.running_max} taken, {s.ready} ready to run"
        yield "models", ", ".join(name or "the default" for name in s.models) or "none"
    else:
        yield "kernel", "none"
    yield "processes", ", ".join(f"{count} {state}" for state, count in states.items()) or "none"
    if s.let_go:
        yield "let go", f"{s.let_go} older runs, which trace and logs show"
    yield "incidents", f"{s.incidents}, see them with: {command('incidents', home)}" if s.incidents else "none"
    if s.notices_waiting or s.notices_given_up:
        look = command("notify", home)
        yield "notices", f"{s.notices_waiting} wait, {s.notices_given_up} could not be delivered, see them with: {look}"
    for fleet in s.fleets:
        yield "fleet", _fleet(fleet)
    yield "head", f"entry {s.head}"
    yield (
        "journal",
        f"{_size_said(disk.journal_bytes)}, {disk.bodies} bodies in it have {_size_said(disk.bodies_bytes)}",
    )
    yield "logs", _size_said(disk.logs_bytes)
    whole = "" if disk.reserve_whole else ", which is not whole"
    yield "disk", f"{_size_said(disk.free_bytes)} free, and a reserve of {_size_said(disk.reserve_bytes)}{whole}"


def _fleet(fleet: FleetRow) -> str:
    up = "up" if fleet.stays else "goes with its last process"
    told = f"; notices by {', '.join(channel.label for channel in fleet.channels)}" if fleet.channels else ""
    return f"{fleet.name} ({up}): {processes(fleet.processes)}; agents {', '.join(fleet.agents)}{told}"


def _size_said(size: int) -> str:
    """A number of bytes, for people."""
    scaled = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if scaled < 1000:
            return f"{scaled:.0f} {unit}" if unit == "bytes" else f"{scaled:.1f} {unit}"
        scaled /= 1000
    return f"{scaled:.1f} TB"
