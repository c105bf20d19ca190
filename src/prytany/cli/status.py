"""`status`: what runs in a home, and what the home takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from prytany import __version__
from prytany.abi.control import FleetRow, Status
from prytany.abi.limits import RESERVE_BYTES
from prytany.cli.attached import command, duration, with_client
from prytany.cli.going_on import go_on
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, processes, safe, say, size_said
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.system.opening import store_errors
from prytany.system.usage import disk_use, entries_of

NOTHING_RUNS = 3
"""As the init scripts of the Linux Standard Base have it for a service that does not run."""
DAY_NS = 86_400_000_000_000
LOW_RESERVES = 8
"""Times the reserve: with less than that free, it is said."""


class Disk(msgspec.Struct, kw_only=True):
    """Bytes on the disk; archives and backups lie elsewhere and are not among them."""

    journal_bytes: int
    """With content, snapshots, the log, and room in it that is used before it grows."""
    unused_bytes: int
    """Of that, the room."""
    logs_bytes: int
    total_bytes: int
    """The home as a whole."""
    day_bytes: int
    """By what the journal grew in the last 24 hours, from the number of entries."""
    archived: int
    """The last entry that was moved to an archive; 0 where all are there."""
    free_bytes: int
    reserve_bytes: int
    """Kept free for what a full disk makes necessary."""
    reserve_whole: bool
    low: bool
    """There is little more than the reserve, or what a week takes."""


def show_status(home: Path, as_json: bool) -> int:
    """Print it; 0, or 3 when nothing runs there."""

    status = with_client(home, Client.status)
    disk = _disk(home)
    if as_json:
        facts: dict[str, Any] = {**msgspec.structs.asdict(status), "disk": disk}
        print(json_line({"runs": bool(status.os_pid), **facts}))
    else:
        for name, value in _lines(status, disk, home):
            print(f"{name:<10} {safe(value)}")
        if not status.os_pid:
            say(f"nothing runs here; {go_on(status, home)}")
    return 0 if status.os_pid else NOTHING_RUNS


def _disk(home: Path) -> Disk:
    use = disk_use(home)
    with store_errors(), closing(open_reader(home)) as reader:
        held, archived = entries_of(reader, SystemClock().now_ns() - DAY_NS), reader.archived()
    written = max(0, use.journal - use.unused - use.snapshots)
    day_bytes = written * held.since // held.all if held.all else 0
    low = use.free < LOW_RESERVES * RESERVE_BYTES or use.free < 7 * day_bytes
    return Disk(
        journal_bytes=use.journal, unused_bytes=use.unused, logs_bytes=use.logs, total_bytes=use.total,
        day_bytes=day_bytes, archived=archived, free_bytes=use.free, reserve_bytes=use.reserve,
        reserve_whole=use.reserve >= RESERVE_BYTES, low=low,
    )  # fmt: skip


def _lines(s: Status, disk: Disk, home: Path) -> Iterator[tuple[str, str]]:
    other = f"; this command is {__version__}" if s.os_pid and s.version != __version__ else ""
    yield "version", f"{s.version}{other}"
    yield "home", s.home
    if s.os_pid:
        yield "kernel", f"process {s.os_pid} of this machine, for {duration(SystemClock().now_ns() - s.since_ns)}"
        yield "confined", "yes" if s.confined else "NO (--unconfined)"
        yield "places", f"{s.running} of {s.running_max} taken, {s.ready} ready to run"
        yield "models", ", ".join(name or "the default" for name in s.models) or "none"
    else:
        yield "kernel", "none"
    yield "processes", ", ".join(f"{count} {state}" for state, count in s.states.items()) or "none"
    if s.let_go:
        yield "let go", f"{s.let_go} older runs, which trace and logs show"
    yield "incidents", f"{s.incidents}, see them with: {command('incidents', home)}" if s.incidents else "none"
    if s.notices_waiting or s.notices_given_up:
        look = command("notify", home)
        yield "notices", f"{s.notices_waiting} wait, {s.notices_given_up} could not be delivered, see them with: {look}"
    for missing in s.lacking:
        yield "LACKING", f"{missing}; give it, and bring the fleet again: {command('up', home)}"
    runs: dict[str, list[FleetRow]] = {}
    for fleet in s.fleets:
        if fleet.stays:
            yield "fleet", _fleet([fleet])
        else:
            runs.setdefault(fleet.name, []).append(fleet)
    for rows in runs.values():
        yield "fleet", _fleet(rows)
    yield "head", f"entry {s.head}"
    unused = f", {size_said(disk.unused_bytes)} of it unused" if disk.unused_bytes else ""
    archived = f"; entries up to {disk.archived} are archived" if disk.archived else ""
    yield "journal", f"{size_said(disk.journal_bytes)}{unused}{archived}"
    yield "growth", f"{size_said(disk.day_bytes)} in the last 24 hours"
    yield "logs", size_said(disk.logs_bytes)
    whole = "" if disk.reserve_whole else ", which is not whole"
    yield "disk", f"{size_said(disk.free_bytes)} free, and a reserve of {size_said(disk.reserve_bytes)}{whole}"
    if disk.low:
        make = command("journal archive --before WHEN --to FILE", home)
        yield "LOW", f"the disk is nearly full; make room: {command('journal collect', home)}, {make}"


def _fleet(rows: list[FleetRow]) -> str:
    """One that is up; or what was brought by that name for single runs."""
    last = rows[-1]
    up = "goes with its last process" if len(rows) == 1 else f"of {len(rows)} runs; each goes with its last process"
    labels = dict.fromkeys(channel.label for row in rows for channel in row.channels)
    told = f"; notices by {', '.join(labels)}" if labels else ""
    count = processes(sum(row.processes for row in rows))
    return f"{last.name} ({'up' if last.stays else up}): {count}; agents {', '.join(last.agents)}{told}"
