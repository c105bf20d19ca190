"""A new home from the sound part of a damaged one. The damaged one is only read.

The copy is made beside its place and moved there when it is whole, so that whoever finds a home there finds all of it.
What a killed copy has left is its own to begin again with, and nobody else's.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Anchor, read_anchor
from prytany.journal.chain import next_hash
from prytany.journal.digests import Keyring
from prytany.journal.home import Home, raise_format
from prytany.journal.salvage import Kept, Progress, keep_sound_part
from prytany.kernel.content import said
from prytany.ports.store import Row, StoreError
from prytany.system.opening import load_keyring, save_keyring


class KeptHome(NamedTuple):
    """What the new home has, and how long the old journal is known to have been (0: not known)."""

    kept: Kept
    of: int


def keep_home(source: Path, target: Path, progress: Progress = lambda seq: None) -> KeptHome:
    """Copy what is sound of the home at `source` into a new one at `target`: journal, keys and logs.

    The new journal ends with a record of this; its anchor names that record, so that it is sound by itself and says
    nothing of what was lost. `progress` is told the number of the last entry that was copied.

    Raises:
        Enoent: there is no home, or no journal in it.
        Ebusy: a kernel runs in it.
            So is another copy to `target` that is under way.
        Einval: `target` is there and not empty.
        Eio: the keys are gone, nothing is sound, or the new home cannot be written.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Einval(f"{target} is not a new or empty folder")
    old = Home(source, create=False)
    try:
        if not old.journal.exists():
            raise Enoent(f"there is no journal in {source}")
        keyring = load_keyring(old.keys)
        try:
            reader = SqliteReader(old.journal, damaged=True)
        except StoreError as error:
            raise Eio(f"nothing can be read: {error}") from error
        try:
            return _copy(old, reader, keyring, target, progress)
        finally:
            reader.close()
    finally:
        old.close()


def _copy(old: Home, reader: SqliteReader, keyring: Keyring, target: Path, progress: Progress) -> KeptHome:
    part = target.with_name(f".{target.name}.unfinished")
    new = Home(part)
    try:
        try:
            clear(new)
            found = _fill(old, reader, keyring, new, progress)
            sync(part)
            part.rename(target)
            sync(target.parent)
        except Exception as error:
            shutil.rmtree(part, ignore_errors=True)
            if isinstance(error, OSError):
                raise Eio(f"the new home cannot be written: {error}") from error
            raise
        return found
    finally:
        new.close()


def clear(new: Home) -> None:
    """Remove what an earlier copy had come to; the lock is ours by now. Raises Eio where a link led here: what lies
    there is no copy's."""
    opened, named = os.fstat(new.folder_fd), new.path.lstat()
    if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino):
        raise Eio(f"{new.path} is a link, and no unfinished home: remove it")
    for path in new.path.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in ("lock", "format"):
            path.unlink()


def sync(folder: Path) -> None:
    """Make what was put into `folder`, or renamed in it, survive a power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _fill(old: Home, reader: SqliteReader, keyring: Keyring, new: Home, progress: Progress) -> KeptHome:
    try:
        store = SqliteStore(new.journal)
        try:
            kept = keep_sound_part(reader, store, keyring, said, progress)
            if not kept.seq:
                raise Eio(f"nothing of the journal in {old.path} is sound")
            if reader.archived():
                raise_format(new.path)
            of = max(kept.seq, _length(old, reader))
            _record(store, kept, of, new)
        finally:
            store.close()
    except StoreError as error:
        raise Eio(f"the new home cannot be written: {error}") from error
    save_keyring(keyring, new.keys)
    if (old.path / "logs").is_dir():
        shutil.copytree(old.path / "logs", new.path / "logs")
        (new.path / "logs").chmod(0o700)
    return KeptHome(kept, of)


def _length(old: Home, reader: SqliteReader) -> int:
    """The last entry that there is any sign of."""
    last = 0
    try:
        anchor = read_anchor(old.anchor)
        last = anchor.seq if anchor else 0
        head = reader.head()
        last = max(last, head.seq if head else 0)
    except (Eio, StoreError):
        pass  # it is damaged: that is why we are here
    return last


def _record(store: SqliteStore, kept: Kept, of: int, new: Home) -> None:
    reader = store.reader()
    last = reader.row(kept.seq)
    reader.close()
    assert last is not None
    now_ns = max(SystemClock().now_ns(), ev.decode_entry(last.record).time_ns)
    command = ev.OperatorCommanded(os.getuid(), f"journal keep: entries 1 to {kept.seq} of {of}")
    record = ev.encode_entry(ev.Entry(now_ns, [command]))
    hash_ = next_hash(kept.hash, record)
    store.commit([Row(kept.seq + 1, hash_, record, b"")], [])
    anchor = Anchor(new.anchor)
    anchor.write(kept.seq + 1, hash_)
    anchor.close()
