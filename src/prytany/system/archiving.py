"""Archives held against the home that they are of: before anything is removed from it, and whenever one wants to know.

That an archive is whole, that it is of this journal, that several follow each other, and that the state which a journal
begins with is the one that its archived entries give.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio
from prytany.abi.wire import UNREADABLE
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head
from prytany.journal.base import kept_rows
from prytany.journal.joined import JoinedReader, Part
from prytany.journal.opening import CheckedReader, Damaged
from prytany.journal.verify import Finding, verify
from prytany.kernel.base_form import FORM
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_start
from prytany.ports.store import Base, Reader, Row
from prytany.system.archive_desk import state_digest
from prytany.system.backup import Progress, open_copy
from prytany.system.opening import load_keyring, store_errors

_ARCHIVED = b"journal.archived/"


def check_archive(home: Path, path: Path, head: Head, progress: Progress = lambda seq: None) -> None:
    """Read an archive that was just made, all of it.

    Raises:
        Damaged: it is not sound, or does not end at `head`.
    """
    reader, about = open_copy(path, "archive")
    found: list[Finding] = []
    with store_errors(), closing(reader):
        keyring = load_keyring(home / "keys")
        verify(
            reader, keyring, said, anchor=head, tell=lambda f: found.append(f) if f.kind != "missing" else None,
            progress=progress, begins=about.begins,
        )  # fmt: skip
    if found or about.head != head:
        why = found[0].message if found else f"it ends at entry {about.entries}"
        raise Damaged(f"{path} is not what the journal has, and nothing is removed: {why}")


def check_state(home: Path, seq: int, digest: bytes) -> None:
    """Fold the journal up to entry `seq`, and hold the state against the one that is to be begun with.

    Raises:
        Damaged: it is another.
        Eio: an entry cannot be read.
    """
    with store_errors(), closing(SqliteReader(home / "journal.db")) as reader:
        state = fold_from_start(CheckedReader(reader), seq).state
    if state_digest(state.encode()) != digest:
        raise Damaged(
            f"the kernel's state at entry {seq} is not the one that the entries give to this version, and nothing is"
            " removed: where Prytany was upgraded under the kernel, restart that first"
        )


@contextmanager
def joined(home: SqliteReader, paths: Sequence[Path]) -> Generator[tuple[Reader, Head, list[Finding]]]:
    """Archives and the journal as one: what they are read as, the entry before its first, and what is wrong between
    them.

    Raises:
        Enoent, Eio: one is not there, or no archive.
        Einval: they do not follow each other.
    """
    with ExitStack() as stack:
        parts: list[Part] = []
        for path in paths:
            reader, about = open_copy(path, "archive")
            stack.callback(reader.close)
            parts.append(Part(about.begins, about.head, reader))
        parts.sort(key=lambda part: part.last.seq)
        yield JoinedReader(parts, home), parts[0].begins, _between(parts, home)


def _between(parts: Sequence[Part], home: SqliteReader) -> list[Finding]:
    found: list[Finding] = []
    for part, after in pairwise(parts):
        if part.last != after.begins:
            raise Einval(
                f"the archives do not follow each other: one ends at entry {part.last.seq}, and the next begins after"
                f" {after.begins.seq}"
            )
    for part in parts:
        row = part.reader.head()
        if row is None or (row.seq, row.hash) != part.last:
            message = f"the archive does not end at entry {part.last.seq}, as it says"
            found.append(Finding("cut", message, part.last.seq))
    last, base = parts[-1].last, home.base()
    if base is not None and last.seq < base.last:
        raise Einval(f"entries {last.seq + 1} to {base.last} are in a later archive: name that as well")
    if base is not None and last.seq == base.last:
        sound = last.hash == base.last_hash
    else:
        row = home.row(last.seq)
        sound = row is not None and row.hash == last.hash
    if not sound:
        message = f"entry {last.seq} of the archive is none of this journal's"
        found.append(Finding("rewritten", message, last.seq))
    return found


def where_archived(reader: Reader) -> str:
    """What to say of entries that are not in a journal any more; empty where all are there."""
    base = reader.base()
    if base is None:
        return ""
    row = reader.row(base.seq + 1)
    try:
        events = ev.decode_entry(row.record).events if row is not None else []
    except UNREADABLE:
        events = []
    names = [event.file for event in events if isinstance(event, ev.JournalArchived) and event.file]
    return f"entries up to {base.last} are archived{f', the latest of them in {names[0]!r}' if names else ''}"


def base_faults(home: SqliteReader, source: Reader, begins: Head) -> list[Finding]:
    """Whether a later entry names the base that the journal begins with, and, where `source` holds all archives,
    whether it is what they give: the state and the older entries that stay."""
    base = home.base()
    if base is None:
        return []
    try:
        kept = kept_rows(base)
    except Eio as error:
        return [Finding("base", error.message, base.seq)]
    if not any(_names(row, base) for row in home.rows(base.seq + 1)):
        return [Finding("base", f"no entry names the base of the journal, the state at entry {base.seq}", base.seq)]
    if source.archived() or begins.seq:
        return []
    for seq, place in kept.items():
        there, row = home.row(seq), source.row(seq)
        if there is None or row is None or not place.hash == row.hash == there.hash or row.record != there.record:
            return [Finding("base", f"entry {seq}, which was kept, is missing or not what was archived", seq)]
    try:
        state = fold_from_start(CheckedReader(source), base.seq).state
    except Eio as error:
        return [Finding("base", f"the archived entries cannot be folded: {error.message}", base.seq)]
    if base.form == FORM and state.encode() != base.state:
        message = f"the state that the journal begins with, at entry {base.seq}, is not what the archived entries give"
        return [Finding("base", message, base.seq)]
    return []


def _names(row: Row, base: Base) -> bool:
    if _ARCHIVED not in row.record:
        return False
    try:
        events = ev.decode_entry(row.record).events
    except UNREADABLE:
        return False
    return any(isinstance(event, ev.JournalArchived) and event.digest == base.digest for event in events)
