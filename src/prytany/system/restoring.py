"""A new home from a backup, which may be from anybody: it is read and checked as a whole before anything is made.

It is refused where its form, its tables, its chain or what its entries say is not what a journal's is; content that is
not what was digested is left out, and told of. A chain that somebody made from the first entry on does not show by
that; against it there is a head that was kept elsewhere. Nothing of the backup is run here; what it records is run when
the new home is resumed.

The home is made beside its place and moved there when it is whole. It has the chain of the backup and goes on with what
`kernel.restored` says; its state is folded from the first entry, and no snapshot is believed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Einval, Eio, Enospc
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_copy import SqliteCopyReader
from prytany.journal.anchor import Anchor, Head
from prytany.journal.chain import next_hash
from prytany.journal.digests import Keyring
from prytany.journal.home import Home, raise_format
from prytany.journal.opening import CheckedReader, Damaged
from prytany.journal.plain import open_plain
from prytany.journal.salvage import keep_sound_part
from prytany.journal.verify import Finding, Report, verify
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_start
from prytany.kernel.restored import restored_entries
from prytany.kernel.state import ShardState
from prytany.ports.store import Row, StoreError, StoreFull
from prytany.system.backup import KEYS, LOG, LOG_BYTES_MAX, About, Progress, open_copy
from prytany.system.keep import clear, sync
from prytany.system.opening import save_keyring, store_errors

ID_BYTES = 16
SPARE_BYTES = 16 << 20
"""Beside what a backup has, a home takes its reserve, and some."""
OF_CONTENT = frozenset({"body", "missing"})
"""Findings that leave a journal that can be gone on with."""


class Checked(NamedTuple):
    """A backup that was looked at."""

    about: About
    report: Report
    keyring: Keyring
    state: ShardState


class RestoredHome(NamedTuple):
    """What was made."""

    id: str
    """Of the new home, in hex."""
    entries: int
    """Of the backup."""
    stopped: int
    """Processes that live, and are stopped."""
    doubts: int
    """Effects in doubt."""
    content_lost: int
    """Pieces of content that were damaged or missing."""


def check_backup(path: Path, head: Head | None = None, progress: Progress = lambda seq: None) -> Checked:
    """Read all of a backup; what is wrong with its content alone stands in the report.

    Args:
        path: the file.
        head: one that is known of the journal, from paper or another file.
        progress: told now and then of the last entry that was looked at.

    Raises:
        Enoent: there is no such file.
        Eio: it is none that can be believed, or cannot be read by this version.
    """
    reader, about = open_copy(path, "backup")
    with closing(reader):
        return _check(reader, path, about, head, progress)


def _check(reader: SqliteCopyReader, path: Path, about: About, head: Head | None, progress: Progress) -> Checked:
    with store_errors():
        keyring = Keyring.load(reader.file(KEYS) or b"", os.urandom)
        wrong: list[Finding] = []

        def tell(finding: Finding) -> None:
            if finding.kind not in OF_CONTENT and not wrong:
                wrong.append(finding)

        report = verify(reader, keyring, said, anchor=head or about.head, tell=tell, progress=progress)
        last = reader.head()
    if not wrong and (last is None or (last.seq, last.hash) != about.head):
        wrong.append(Finding("cut", f"its head is not the {about.entries}:{about.hash} that it says it has"))
    if wrong:
        raise Damaged(f"{path} is damaged, or was changed: {wrong[0].message}", detail={"sound": report.sound_seq})
    return Checked(about, report, keyring, fold_from_start(CheckedReader(reader)).state)


def restore_home(
    path: Path, target: Path, *, head: Head | None = None, progress: Progress = lambda seq: None
) -> RestoredHome:
    """Make a home at `target` from the backup at `path`, as one that nothing goes on in.

    Raises:
        Enoent: there is no such file.
        Einval: `target` is there and not an empty folder.
        Ebusy: another command is making a home there.
        Enospc: the disk has no room for it.
        Eio: the backup cannot be believed, or the home cannot be written.
    """
    target = target.absolute()
    target = Path(os.path.realpath(target.parent)) / target.name
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise Einval(f"{target} is not a new or empty folder")
    reader, about = open_copy(path, "backup")
    with closing(reader):
        checked = _check(reader, path, about, head, progress)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(target.parent).free
            if free < path.stat().st_size + SPARE_BYTES:
                raise Enospc(f"the home takes {path.stat().st_size + SPARE_BYTES} bytes, and {free} are free")
            return _make(reader, checked, target, progress)
        except StoreFull as error:
            raise Enospc(f"the new home cannot be written: {error}") from error
        except OSError as error:
            raise Eio(f"the new home cannot be written: {error.filename or target}: {error.strerror}") from error
        except StoreError as error:
            raise Eio(f"the new home cannot be written: {error}") from error


def _make(reader: SqliteCopyReader, checked: Checked, target: Path, progress: Progress) -> RestoredHome:
    part = target.with_name(f".{target.name}.unfinished")
    try:
        new = Home(part)
    except Ebusy:
        raise Ebusy(f"another command is making a home at {target}") from None
    try:
        try:
            clear(new)
            found = _fill(reader, checked, new, progress)
            sync(part)
            part.rename(target)  # replaces an empty folder, and no other
            sync(target.parent)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        return found
    finally:
        new.close()


def _fill(reader: SqliteCopyReader, checked: Checked, new: Home, progress: Progress) -> RestoredHome:
    id_ = os.urandom(ID_BYTES)
    store = SqliteStore(new.journal)
    try:
        kept = keep_sound_part(reader, store, checked.keyring, said, progress)
        if (kept.seq, kept.hash) != checked.about.head:
            raise Damaged(f"the backup changed while it was copied, after entry {kept.seq}")
        found = RestoredHome(id_.hex(), kept.seq, 0, 0, checked.report.found)
        if reader.archived():
            raise_format(new.path)
        head = Head(kept.seq, kept.hash)
        for events in _applied(checked.state, id_, head.seq):
            record = ev.encode_entry(ev.Entry(checked.state.table.time_ns, events))
            head = Head(head.seq + 1, next_hash(head.hash, record))
            store.commit([Row(head.seq, head.hash, record, b"")], [])
            found = found._replace(doubts=found.doubts + sum(isinstance(e, ev.IncidentOpened) for e in events))
    finally:
        store.close()
    with closing(Anchor(new.anchor)) as anchor:
        anchor.write(*head)
    save_keyring(checked.keyring, new.keys)
    _write_logs(reader, new.path)
    return found._replace(stopped=sum(p.alive for p in checked.state.table.processes.values()))


def _applied(state: ShardState, id_: bytes, head: int) -> Iterator[list[ev.Event]]:
    """The entries that the new home begins with, each folded: what cannot follow is not written."""
    now_ns = max(SystemClock().now_ns(), state.table.time_ns)
    for seq, events in enumerate(restored_entries(state, id_, head, os.getuid()), head + 1):
        for event in events:
            state.apply(seq, now_ns, event)
        yield events


def _write_logs(reader: SqliteCopyReader, home: Path) -> None:
    folder = home / "logs"
    for name, content in reader.files():
        if LOG.fullmatch(name) and len(content) <= LOG_BYTES_MAX:
            folder.mkdir(mode=0o700, exist_ok=True)
            fd = open_plain(home / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
