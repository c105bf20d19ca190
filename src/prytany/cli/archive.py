"""`journal archive`: the older part of a journal moves into a file, and is removed once that is known to be whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from prytany.abi import control
from prytany.abi.errors import Einval, Enoent
from prytany.cli.attached import command, no_home, with_client
from prytany.cli.backup import taken, time_ns
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, note, safe
from prytany.client import Client
from prytany.system.archiving import check_archive, check_state
from prytany.system.backup import Copied, last_before, make_archive
from prytany.system.rebase import rebase


def archive_journal(
    home: Path, path: Path, before: str, as_json: bool, *, force: bool = False, copy: bool = False, shrink: bool = False
) -> None:
    """Archive it, and say what is left."""
    last = _last(home, before)
    try:
        with bar("entries", last) as move:
            made = make_archive(home, path, last, force=force, progress=move)
        with bar("entries checked", last) as move:
            check_archive(home, path, made.head, move)
    except Enoent as error:
        raise no_home(error, home) from None
    except Einval as error:
        raise taken(error) from None
    prepared, removed = (
        (None, None) if copy else with_client(home, lambda client: _remove(client, home, path, made, shrink))
    )
    head = f"{made.head.seq}:{made.head.hash.hex()}"
    if as_json:
        said = {"file": str(path), "head": head, "first": made.first, "entries": made.head.seq}
        left = {
            "removed": removed.entries if removed else 0,
            "freed_bytes": removed.freed_bytes if removed else 0,
            "kept": prepared.kept if prepared else 0,
        }
        print(json_line({**said, "bodies": made.bodies, "bytes": made.bytes, **left}))
        return
    print(safe(f"entries {made.first} to {made.head.seq} of {home} are in {path} ({made.bytes} bytes)"))
    print(f"its head: {head}")
    if removed is None or prepared is None:
        note("the home has them still", as_json)
        return
    print(f"{removed.entries} entries have left the home, with the content that nothing else names", end="")
    print(f" ({removed.freed_bytes} bytes)")
    if prepared.kept:
        print(f"{prepared.kept} older ones stay: what lives needs them, or they say what was forgotten")
    check = safe(f"{command('journal verify', home)} --archive {path}")
    note(f"keep the file: the home has these entries no more; check both with: {check}", as_json)


def rebase_home(home: Path, archives: Sequence[Path], as_json: bool) -> None:
    """Have the home begin with what all its archives give."""
    if not archives:
        raise advised(Einval("no archive is named"), "name all that were made of this home: --archive FILE")
    try:
        made = rebase(home, archives)
    except Enoent as error:
        raise no_home(error, home) from None
    if as_json:
        print(json_line(made._asdict()))
    else:
        print(f"the journal begins with the state at entry {made.seq}, in form {made.form}")


def _last(home: Path, before: str) -> int:
    """The last entry that is to be archived; raises Einval, Enoent."""
    try:
        number = before.isdecimal() and len(before) < 19
        last = int(before) - 1 if number else last_before(home, time_ns(before))
    except Enoent as error:
        raise no_home(error, home) from None
    with closing(open_reader(home)) as reader:
        archived = reader.archived()
    if 0 < last <= archived:
        if left := with_client(home, Client.finish_archive).entries:
            raise advised(
                Einval(f"entries up to {archived} are archived already; {left} that were left of them are removed now"),
                "nothing more is to be done; later entries take a later date",
            )
        raise advised(Einval(f"entries up to {archived} are archived already"), "name a later date, or a later entry")
    if last < 1:
        raise advised(Einval(f"no entry is from before {before[:100]}"), "name a later date, or a later entry")
    return last


async def _remove(
    client: Client, home: Path, path: Path, made: Copied, shrink: bool
) -> tuple[control.Prepared, control.Removed]:  # fmt: skip
    async def check(prepared: control.Prepared) -> None:
        await asyncio.to_thread(check_state, home, prepared.seq, prepared.state)

    done = await client.archive(control.PrepareArchive(*made.head, path.name), check)
    if shrink:
        await client.shrink()
    return done
