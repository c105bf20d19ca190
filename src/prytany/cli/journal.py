"""`journal`: its head, whether it is sound, and what to do when it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from prytany.abi.errors import Einval, Eio, Enoent
from prytany.cli.attached import command, no_home
from prytany.cli.bar import bar
from prytany.cli.failure import advised
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, note, safe
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.base import BEGINNING
from prytany.journal.chain import HASH_BYTES
from prytany.journal.verify import Finding, verify
from prytany.kernel.content import said
from prytany.ports.store import Reader, StoreError
from prytany.system.archiving import base_faults, joined
from prytany.system.keep import keep_home
from prytany.system.opening import load_keyring


def show_head(home: Path, as_json: bool = False) -> None:
    """Print number and hash of the last entry."""
    row = open_reader(home).head()
    seq, hash_ = (row.seq, row.hash.hex()) if row else (0, "")
    head = f"{seq}:{hash_}"
    print(json_line({"head": head, "entry": seq, "hash": hash_}) if as_json else head)


def verify_home(home: Path, head: str, as_json: bool, archives: Sequence[Path] = ()) -> int:
    """Print every finding as it is made, and how far it is on a terminal; 0 when there is none, else 1.

    With archives, the chain and the content of all are checked as one.
    """
    told = 0

    def tell(finding: Finding) -> None:
        nonlocal told
        told += 1
        if as_json:
            found = {"kind": finding.kind, "entry": finding.seq, "message": finding.message}
            print(json_line({**found, "digest": finding.digest.hex()}), flush=True)
        else:
            print(f"{finding.kind:<10} {safe(finding.message)}", flush=True)

    # Before the view is opened, which has to hold it: a kernel that runs there writes both.
    anchor = parse_head(head) if head else _anchored(home, tell)
    reader = _readable(home, tell)
    if reader is None:
        return _said(0, 0, False, as_json)
    if not head and anchor is not None and _archived(reader) >= anchor.seq:
        anchor = None  # a power loss has left it at one that was archived since
    keyring = load_keyring(home / "keys")
    with ExitStack() as stack:
        source: Reader = reader
        begins = BEGINNING
        if archives:
            source, begins, between = stack.enter_context(joined(reader, archives))
            for finding in between:
                tell(finding)
        move = stack.enter_context(bar("entries", _length(reader)))
        report = verify(source, keyring, said, anchor=anchor, tell=tell, progress=move, begins=begins)
        for finding in _base(reader, source, begins) if not told else ():
            tell(finding)
    if report.rows and anchor is None and not told:
        note("no head is anchored in this home: a tail that was cut would not show, but against --head", as_json)
    if report.archived:
        note(f"entries up to {report.archived} are archived, and checked with: --archive FILE", as_json)
    return _said(report.rows, report.forgotten, not told, as_json)


def _readable(home: Path, tell: Callable[[Finding], None]) -> SqliteReader | None:
    try:
        return open_reader(home)
    except StoreError as error:
        tell(Finding("unreadable", str(error), 1))
    try:  # what can be read of it is looked at all the same
        return open_reader(home, damaged=True)
    except StoreError:
        return None


def _anchored(home: Path, tell: Callable[[Finding], None]) -> Head | None:
    """The head in the second file."""
    try:
        return read_anchor(home / "head")
    except Eio as error:
        tell(Finding("unreadable", error.message))
        return None


def _archived(reader: SqliteReader) -> int:
    """The last entry that was archived; 0 where that cannot be read, which the verification finds."""
    try:
        return reader.archived()
    except StoreError:
        return 0


def _base(home: SqliteReader, source: Reader, begins: Head) -> list[Finding]:
    try:
        return base_faults(home, source, begins)
    except StoreError as error:
        return [Finding("unreadable", str(error))]


def _said(rows: int, forgotten: int, sound: bool, as_json: bool) -> int:
    if as_json:
        print(json_line({"entries": rows, "forgotten": forgotten, "sound": sound}))
    else:
        gone = f", {forgotten} pieces of content forgotten" if forgotten else ""
        print(f"{rows} entries{gone}: {'sound' if sound else 'DAMAGED'}")
    return 0 if sound else 1


def _length(reader: SqliteReader) -> int:
    """The number of the last entry; 0 where it cannot be read."""
    try:
        head = reader.head()
    except StoreError:
        return 0
    return head.seq if head else 0


def keep_sound_part(home: Path, target: Path, as_json: bool) -> None:
    """Make a new home of what is sound, and say what was lost."""
    try:
        with bar("entries", 0) as move:
            kept, of = keep_home(home, target, move)
    except Enoent as error:
        raise no_home(error, home) from None
    except Einval as error:
        raise advised(error, "name a folder that is not there yet: --to DIR") from None
    if as_json:
        said_of = {"kept": kept.seq, "of": of, "bodies": kept.bodies, "bodies_lost": kept.bodies_lost}
        print(json_line({**said_of, "complete": kept.complete, "home": str(target)}))
        return
    print(safe(f"entries 1 to {kept.seq} of {of} are in {target}"))
    if kept.bodies_lost:
        print(f"{kept.bodies_lost} pieces of content were damaged, and are left out")
    if kept.seq < of:
        print("what the lost entries had recorded is not known there: calls of theirs may be made again")
    print(f"go on with: {command('resume', target)}")


def parse_head(text: str) -> Head:
    """What `journal head` printed; raises Einval."""
    found = re.fullmatch(rf"([0-9]{{1,18}}):([0-9a-f]{{{2 * HASH_BYTES}}})|0:", text.strip())
    if found is None:
        raise advised(
            Einval(f"{text[:100]!r} is no head"), "prytany journal head prints one: a number, `:`, and a hash"
        )
    return Head(int(found[1] or 0), bytes.fromhex(found[2] or ""))
