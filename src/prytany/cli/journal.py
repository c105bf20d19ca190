"""`journal`: its head, whether it is sound, and what to do when it is not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from prytany.abi.errors import Einval, Eio, Enoent
from prytany.cli.text import safe
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.chain import HASH_BYTES
from prytany.journal.verify import Finding, verify
from prytany.kernel.content import said
from prytany.ports.store import StoreError
from prytany.system.keep import keep_home
from prytany.system.opening import load_keyring


def open_reader(home: Path, *, damaged: bool = False, pinned: bool = True) -> SqliteReader:
    """A view of the home's journal, at one moment or always at its newest; raises Enoent when there is none."""
    path = home / "journal.db"
    if not path.exists():
        raise Enoent(f"there is no journal in {home}")
    return SqliteReader(path, damaged=damaged, pinned=pinned)


def show_head(home: Path) -> None:
    """Print number and hash of the last entry."""
    row = open_reader(home).head()
    print(f"{row.seq}:{row.hash.hex()}" if row else "0:")


def verify_home(home: Path, head: str, as_json: bool) -> int:
    """Print every finding as it is made, and how far it is on a terminal; 0 when there is none, else 1."""
    told = 0

    def tell(finding: Finding) -> None:
        nonlocal told
        told += 1
        if as_json:
            found = {"kind": finding.kind, "entry": finding.seq, "message": finding.message}
            print(json.dumps({**found, "digest": finding.digest.hex()}), flush=True)
        else:
            print(f"{finding.kind:<10} {safe(finding.message)}", flush=True)

    anchor = _head(head) if head else None
    try:
        anchor = anchor or read_anchor(home / "head")
    except Eio as error:
        tell(Finding("unreadable", error.message))
    try:
        reader = open_reader(home)
    except StoreError as error:
        tell(Finding("unreadable", str(error), 1))
        try:  # what can be read of it is looked at all the same
            reader = open_reader(home, damaged=True)
        except StoreError:
            return _said(0, 0, False, as_json)
    with ExitStack() as stack:
        keyring = load_keyring(home / "keys")
        report = verify(reader, keyring, said, anchor=anchor, tell=tell, progress=_bar(reader, stack))
    return _said(report.rows, report.forgotten, not told, as_json)


def _said(rows: int, forgotten: int, sound: bool, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"entries": rows, "forgotten": forgotten, "sound": sound}))
    else:
        gone = f", {forgotten} pieces of content forgotten" if forgotten else ""
        print(f"{rows} entries{gone}: {'sound' if sound else 'DAMAGED'}")
    return 0 if sound else 1


def _bar(reader: SqliteReader, stack: ExitStack) -> Callable[[int], None]:
    """How far it is, on a terminal only."""
    if not sys.stderr.isatty():
        return lambda seq: None
    try:
        head = reader.head()
    except StoreError:
        head = None
    bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = bar.add_task("entries", total=head.seq if head else None)
    return lambda seq: bar.update(task, completed=seq)


def keep_sound_part(home: Path, target: Path, as_json: bool) -> None:
    """Make a new home of what is sound, and say what was lost."""
    kept, of = keep_home(home, target)
    if as_json:
        said_of = {"kept": kept.seq, "of": of, "bodies": kept.bodies, "bodies_lost": kept.bodies_lost}
        print(json.dumps({**said_of, "complete": kept.complete, "home": str(target)}))
        return
    print(f"entries 1 to {kept.seq} of {of} are in {target}")
    if kept.bodies_lost:
        print(f"{kept.bodies_lost} pieces of content were damaged, and are left out")
    if kept.seq < of:
        print("what the lost entries had recorded is not known there: calls of theirs may be made again")
    print(f"go on with: prytany resume --home {target}")


def _head(text: str) -> Head:
    """What `journal head` printed; raises Einval."""
    found = re.fullmatch(rf"([0-9]{{1,18}}):([0-9a-f]{{{2 * HASH_BYTES}}})|0:", text.strip())
    if found is None:
        raise Einval(f"{text[:100]!r} is no head; `prytany journal head` prints one: a number, `:`, and a hash")
    return Head(int(found[1] or 0), bytes.fromhex(found[2] or ""))
