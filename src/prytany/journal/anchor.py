"""The anchor: the head of the chain, kept in a second file.

The chain alone cannot show that its tail was cut or that it was rewritten as a whole. The anchor holds the sequence
number and hash of a head that was durable. What it proves, and no more:

- A journal that has no row of that number, or another hash there, was cut or rewritten since.
- It is written after the commit is durable and before the acknowledgement. So after the end of the process, kill -9
  included, every acknowledged entry is at or below the anchored head.
- It is synced only every `SYNC_COMMITS` commits and at close. After a power loss it may name an older head: what
  was cut above that one does not show. It never names a head that was not durable.
- It is a plain file of the same owner. Whoever can write both files can make them agree. Against that, print the
  head and keep it elsewhere.

File: two slots of one sector each, written in turn, in place. A torn or damaged slot leaves the other, which is one
commit older.

    slot = magic[8] seq[8, big endian] hash[16] blake2b-128(all before)[16], padded to 512 bytes
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from prytany.abi.errors import Eio
from prytany.journal.plain import open_plain, read_plain
from prytany.ports.store import StoreGone

SYNC_COMMITS = 1_024
SLOT_BYTES = 512
_MAGIC = b"PRYTHEAD"
_FIELDS = struct.Struct(">8sQ16s")
_CHECK_BYTES = 16


class Head(NamedTuple):
    """The end of a chain."""

    seq: int
    hash: bytes


def _packed(head: Head) -> bytes:
    fields = _FIELDS.pack(_MAGIC, head.seq, head.hash)
    return (fields + blake2b(fields, digest_size=_CHECK_BYTES).digest()).ljust(SLOT_BYTES, b"\0")


def _unpacked(slot: bytes) -> Head | None:
    if len(slot) != SLOT_BYTES:
        return None
    magic, seq, hash_ = _FIELDS.unpack_from(slot)
    head = Head(seq, hash_)
    return head if magic == _MAGIC and _packed(head) == slot else None


def read_anchor(path: Path) -> Head | None:
    """The newest head that the file names, or None when there is no file or nothing was ever anchored.

    Raises:
        Eio: the file is there and neither of its slots can be read.
    """
    try:
        content = read_plain(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Eio(f"cannot read the anchor: {error.strerror}") from error
    if not content:
        return None
    heads = [h for h in (_unpacked(content[:SLOT_BYTES]), _unpacked(content[SLOT_BYTES:])) if h]
    if not heads:
        raise Eio("the anchor is damaged: neither slot can be read")
    return max(heads)


class Anchor:
    """The writer's side; used by the journal's writer thread alone."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`, 0600. A damaged slot is overwritten first, then the older one."""
        self._fd = open_plain(path, os.O_RDWR | os.O_CREAT)
        first = _unpacked(os.pread(self._fd, SLOT_BYTES, 0))
        second = _unpacked(os.pread(self._fd, SLOT_BYTES, SLOT_BYTES))
        self._slot = 0 if first is None or (second is not None and first < second) else 1
        self._unsynced = 0
        self.syncs = 0

    def write(self, seq: int, hash_: bytes) -> None:
        """Name a head that is durable; raises StoreGone where the file was removed, and the journal with it: nobody is
        told that something is recorded which nobody can read again."""
        if not os.fstat(self._fd).st_nlink:
            raise StoreGone("the home was removed, or its file `head`, under the kernel")
        os.pwrite(self._fd, _packed(Head(seq, hash_)), self._slot * SLOT_BYTES)
        self._slot ^= 1
        self._unsynced += 1
        if self._unsynced >= SYNC_COMMITS:
            self.sync()

    def sync(self) -> None:
        """Make what was written survive a power loss."""
        if self._unsynced:
            os.fdatasync(self._fd)
            self.syncs += 1
            self._unsynced = 0

    def close(self) -> None:
        """Sync and close."""
        try:
            self.sync()
        finally:
            os.close(self._fd)
