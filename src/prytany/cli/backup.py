"""`backup`, `restore-home` and `journal collect`: a home is kept, brought back, and kept small."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from prytany.abi import control, limits
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.cli.attached import command, no_home, with_client
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.journal import parse_head
from prytany.cli.text import json_line, note, processes, safe
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.journal.opening import Damaged
from prytany.system.backup import make_backup
from prytany.system.logs import Logs
from prytany.system.restoring import check_backup
from prytany.system.restoring import restore_home as make_home

TIME_NS_MAX = (1 << 63) - 1


def back_up(home: Path, path: Path, as_json: bool, *, force: bool, logs: bool, check: bool) -> None:
    """Make a backup, and say what is in it."""
    try:
        with bar("entries", 0) as move:
            made = make_backup(home, path, force=force, logs=logs, progress=move)
    except Enoent as error:
        raise no_home(error, home) from None
    except Einval as error:
        raise taken(error) from None
    head = f"{made.head.seq}:{made.head.hash.hex()}"
    lost = 0
    if check:
        with bar("entries checked", made.head.seq) as move:
            lost = check_backup(path, made.head, move).report.found
    if as_json:
        said = {"file": str(path), "head": head, "entries": made.head.seq, "bodies": made.bodies, "logs": made.logs}
        print(json_line({**said, "bytes": made.bytes, "verified": check, "content_lost": lost}))
    else:
        print(safe(f"entries 1 to {made.head.seq} of {home} are in {path} ({made.bytes} bytes)"))
        print(f"its head: {head}")
    if lost:
        raise advised(
            Eio(f"{lost} pieces of content were damaged in the home, and are damaged or missing in {path}"),
            f"see which with: {command('journal verify', home)}",
        )
    if check and not as_json:
        print("it was read again: sound")
    note("the keys are in it: whoever has the file has all that was said", as_json)


def restore(path: Path, home: Path, head: str, as_json: bool) -> None:
    """Make a new home of a backup, and say how it stands."""
    known = parse_head(head) if head else None
    try:
        with bar("entries", 0) as move:
            made = make_home(path, home, head=known, progress=move)
    except Enoent as error:
        raise advised(error, "name a file that prytany backup has made") from None
    except Einval as error:
        raise advised(error, "name a folder that is not there yet: --home DIR") from None
    except Damaged as error:
        raise advised(error, "take another backup; nothing was made of this one") from None
    except Eio as error:
        raise advised(error, "see to what is said, or name another folder with --home; nothing was made") from None
    if as_json:
        print(json_line({**made._asdict(), "home": str(home)}))
        return
    print(safe(f"entries 1 to {made.entries} are in {home}, a new home ({made.id})"))
    if made.content_lost:
        print(f"{made.content_lost} pieces of content were damaged or missing, and are left out")
    if made.stopped:
        print(f"{processes(made.stopped)} stopped; let one go on with: {command('kill -s CONT PID', home)}")
    if made.doubts:
        print(f"{made.doubts} effects in doubt; see them with: {command('incidents', home)}")
    print(f"then go on with: {command('resume', home)}")


def collect_content(home: Path, before: str, as_json: bool, *, shrink: bool = False) -> None:
    """Destroy what nobody needs, some processes at a time."""
    before_ns = time_ns(before) if before else 0
    total = control.Collected(pids=[], contents=0, freed_bytes=0, kept=0, more=True)

    async def collect(client: Client) -> control.Collected:
        return await client.collect(before_ns)

    with_client(home, Client.finish_archive)  # what is archived, and was left when that was cut off
    with bar("processes", 0) as move:
        while total.more:
            some = with_client(home, collect)
            logs = Logs(home)
            for pid in some.pids:
                logs.forget(pid)
            total.pids += some.pids
            total.contents += some.contents
            total.freed_bytes += some.freed_bytes
            total.kept, total.more = some.kept, some.more
            move(len(total.pids))
    old_logs = _forget_logs(home, before_ns)
    if shrink:
        with_client(home, Client.shrink)
    freed = {"contents": total.contents, "freed_bytes": total.freed_bytes, "kept": total.kept, "logs": old_logs}
    if as_json:
        print(json_line({"processes": len(total.pids), **freed}))
        return
    of = f"{processes(len(total.pids))} that ended before {before or 'seven days ago'}"
    print(safe(f"{total.contents} pieces of content of {of} are destroyed ({total.freed_bytes} bytes)"))
    if old_logs:
        print(f"with them {old_logs} logs of processes that have left the table before")


def _forget_logs(home: Path, before_ns: int) -> int:
    """Remove what was printed, before that time, by processes that the kernel does not list any more: also by those
    whose entries were archived before they were collected. How many logs that were."""
    before_ns = before_ns or SystemClock().now_ns() - limits.ENDED_RUN_MS * 1_000_000
    printed = Logs(home)
    older = printed.older(before_ns)
    if not older:
        return 0
    listed = {row.pid for row in with_client(home, Client.ps)}
    return sum(printed.forget(pid) for pid in older if pid not in listed)


def time_ns(text: str) -> int:
    """A date or a time as a person writes it, here where none is said; raises Einval."""
    try:
        at = datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise advised(Einval(f"{text[:100]!r} is no date"), "a date is 2026-11-01, a time 2026-11-01T08:30") from None
    return min(max(int(at * 1_000_000_000), 1), TIME_NS_MAX)


def taken(error: Einval) -> Einval:
    """`error`, with what to do where a file is not to be replaced."""
    there = error.message.endswith("is there already")
    advised(error, "name another file, or --force to replace one" if there else "name another file")
    return error
