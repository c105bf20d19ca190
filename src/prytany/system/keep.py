"""A new home from the sound part of a damaged one. The damaged one is only read."""

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
from prytany.journal.home import Home
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
        Einval: `target` is there and not empty.
        Eio: the keys are gone, nothing is sound, or the new home cannot be written.
    """
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
    new = Home(target)
    try:
        store = SqliteStore(new.journal)
        try:
            kept = keep_sound_part(reader, store, keyring, said, progress)
            if not kept.seq:
                raise Eio(f"nothing of the journal in {old.path} is sound")
            of = max(kept.seq, _length(old, reader))
            _record(store, kept, of, new)
        except StoreError as error:
            raise Eio(f"the new home cannot be written: {error}") from error
        finally:
            store.close()
        save_keyring(keyring, new.keys)
        if (old.path / "logs").is_dir():
            shutil.copytree(old.path / "logs", new.path / "logs")
            (new.path / "logs").chmod(0o700)
        return KeptHome(kept, of)
    finally:
        new.close()


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
