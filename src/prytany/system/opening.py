"""Opening a home's journal: checked, folded, and ready to be written to; or refused, with what of it is still sound."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prytany.abi.errors import Ebusy, Eio, KernelError, KernelPanic
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.digests import Keyring
from prytany.journal.home import Home
from prytany.journal.opening import CheckedReader, Damaged, check_end
from prytany.journal.plain import open_plain, read_plain
from prytany.journal.verify import sound_prefix
from prytany.kernel.folding import Folded, fold_from_snapshot
from prytany.kernel.ledger import TENANT
from prytany.ports.store import StoreError, StoreLocked


@contextmanager
def store_errors() -> Generator[None]:
    """Turn what a store cannot do into an errno: Ebusy where another holds it, else Eio."""
    try:
        yield
    except StoreLocked as error:
        raise Ebusy(str(error)) from error
    except StoreError as error:
        raise Eio(str(error)) from error


class Opened(NamedTuple):
    """A journal that is sound as far as its opening looks."""

    store: SqliteStore
    reader: SqliteReader
    """Always at the newest."""
    keyring: Keyring
    folded: Folded


def load_keyring(path: Path) -> Keyring:
    """The home's keys; raises Eio when they are not there or damaged."""
    try:
        return Keyring.load(read_plain(path), os.urandom)
    except OSError as error:
        gone = Eio(f"the keys of the home cannot be read: {path}: {error.strerror}")
        gone.add_note(
            "put them back from where they went; else a backup has them: prytany restore-home makes a home of it"
        )
        raise gone from None


def make_keyring(path: Path) -> Keyring:
    """The keys of a new home."""
    keyring = Keyring(os.urandom)
    keyring.admit(TENANT)
    save_keyring(keyring, path)
    return keyring


def save_keyring(keyring: Keyring, path: Path) -> None:
    """Put the keys in place at once, 0600."""
    part = path.with_suffix(".part")
    try:
        fd = open_plain(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "wb") as file:
            file.write(keyring.save())
            file.flush()
            os.fsync(fd)
        part.rename(path)
    except OSError as error:
        raise Eio(f"the keys of the home cannot be written: {part}: {error.strerror}") from None


def open_journal(home: Home) -> Opened:
    """Check and fold the journal of a locked home; a new one where nothing was ever written.

    Raises:
        Eio: it is damaged: `detail` has the last sound entry (`sound`) and the last there was (`of`); or its keys are.
        StoreFull: not even the reserve is enough to open it.
        StoreError: the disk failed.
    """
    anchor = read_anchor(home.anchor)
    begun = _checked(home, anchor)
    keyring = load_keyring(home.keys) if begun or home.keys.exists() else make_keyring(home.keys)
    store = SqliteStore(home.journal)
    try:
        reader = SqliteReader(home.journal, pinned=False)
        try:
            folded = fold_from_snapshot(CheckedReader(reader))
        except (StoreError, KernelError, KernelPanic, LookupError) as error:
            reader.close()
            raise refusal(home.path, home.journal, anchor, error) from error
    except BaseException:
        store.close()
        raise
    return Opened(store, reader, keyring, folded)


def _checked(home: Home, anchor: Head | None) -> bool:
    """Look at the end of the journal; whether it holds anything."""
    begun = anchor is not None and anchor.seq > 0
    if not begun and (not home.journal.exists() or home.journal.stat().st_size == 0):
        return False
    try:
        reader = SqliteReader(home.journal)
    except StoreError as error:
        if not begun and "no such table" in str(error):
            return False  # its making was cut short, before anything was written
        raise refusal(home.path, home.journal, anchor, error) from error
    try:
        check_end(reader, anchor)
        return reader.head() is not None
    except (StoreError, Damaged) as error:
        raise refusal(home.path, home.journal, anchor, error) from error
    finally:
        reader.close()


def refusal(home: Path, journal: Path, anchor: Head | None, error: Exception) -> Exception:
    """What to say of a journal that cannot be gone on with; `error` itself where the journal is not to blame."""
    why = error.message if isinstance(error, KernelError) else str(error)
    sound, last, cut = 0, anchor.seq if anchor else 0, True
    try:
        reader = SqliteReader(journal, damaged=True)
    except StoreError:
        pass
    else:
        sound = sound_prefix(reader)
        try:
            head = reader.head()
            last, cut = max(last, head.seq if head else 0), False
        except StoreError:
            pass  # how long it was is not known from itself
        reader.close()
    if sound and sound == last and not cut and not isinstance(error, Damaged):
        return error
    many = f"{last}" if last else "an unknown number"
    keep = (
        f"`prytany journal keep --home {home} --to DIR` makes a new home of that part" if sound else "nothing is left"
    )
    return Damaged(
        f"the journal in {home} is damaged: {why}. It is sound up to entry {sound} of {many}: {keep}",
        detail={"sound": sound, "of": last},
    )
