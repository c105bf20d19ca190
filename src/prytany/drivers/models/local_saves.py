"""The files into which llama.cpp saves slots: private, bounded, and gone with their driver.

    prytany-slots-XXXXXXXX/    0700, ours, locked for as long as its driver lives
      saved/                   0700, of the uid that llama.cpp runs as
        tenant-0-XXXXXXXX      0600, one slot: tokens first, then what was computed of them

Whoever makes such a folder removes those whose driver is dead, which has let go of the lock. A file that was changed,
cut or lost is not restored; and one that no file may be made of (the disk is full) is none. Both cost time, no answer.

Source: llama.cpp `llama_state_seq_save_file`; the words before the tokens are those of its server.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import zlib
from array import array
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PREFIX = "prytany-slots-"
BYTES_MAX = 512 << 20  # some 23,000 bytes a token of the embedded model
READ_BYTES = 1 << 20
DOUBTFUL_MAX = 64
MAGIC = b"qsgg"
WORD_BYTES = 4
SERVERS_WORDS = (-1, 1)
"""What the server's own form of a list of tokens begins with; their count follows."""


class Saved(NamedTuple):
    """A slot in a file."""

    name: str
    size: int
    crc: int
    tokens: tuple[int, ...]
    """All that the slot held: the prompt's, and those that were generated."""


class Saves:
    """See the module. What opens and reads files here may block; `Saves` itself is used from one loop."""

    def __init__(self, parent: Path | None = None, bytes_max: int = BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self._parent = parent
        self._home: Path | None = None
        self._lock = -1
        self._kept: dict[str, int] = {}
        """Names and sizes, the least recently used first."""
        self._doubtful: deque[str] = deque(maxlen=DOUBTFUL_MAX)
        """Names that may be written after they were dropped."""

    @property
    def total(self) -> int:
        """Bytes that are kept."""
        return sum(self._kept.values())

    def open(self) -> Path:
        """The folder for the files, for a process that begins; made if it is not there. Raises OSError."""
        if self._home is not None and (self._home / "saved").is_dir():
            for name in set(os.listdir(self._home / "saved")) - self._kept.keys():  # of the process before
                self._remove(name)
            self._doubtful.clear()
            return self._home / "saved"
        self.close()
        parent = self._parent or Path(tempfile.gettempdir())
        _sweep(parent)
        while True:
            home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _take(lock) and home.exists():  # else somebody took it for a dead one's, before it was locked
                break
            os.close(lock)
        self._home, self._lock = home, lock
        (home / "saved").mkdir(mode=0o700)
        return home / "saved"

    def name(self, tenant: int) -> str:
        """A new file's."""
        for name in [*self._doubtful]:
            self._remove(name)
        return f"tenant-{tenant}-{secrets.token_hex(8)}"

    def keep(self, saved: Saved) -> bool:
        """It is kept from now on, and as many of the least recently used go as it takes; False where it is too big."""
        if saved.size > self.bytes_max:
            self._remove(saved.name)
            return False
        total = self.total + saved.size
        for name, size in list(self._kept.items()):
            if total <= self.bytes_max:
                break
            total -= size
            self.drop(name)
        self._kept[saved.name] = saved.size
        return True

    def used(self, name: str) -> bool:
        """Whether it is kept; it was used just now."""
        size = self._kept.pop(name, None)
        if size is not None:
            self._kept[name] = size
        return size is not None

    def drop(self, name: str) -> None:
        """It is wanted no more."""
        self._kept.pop(name, None)
        self._remove(name)

    def doubt(self, name: str) -> None:
        """Nobody waited for its end: it may yet be written."""
        self._doubtful.append(name)
        self.drop(name)

    def close(self) -> None:
        """Remove all of it."""
        home, self._home = self._home, None
        self._kept.clear()
        self._doubtful.clear()
        if home is not None:
            shutil.rmtree(home, ignore_errors=True)
            os.close(self._lock)

    def read(self, name: str, size: int) -> Saved:
        """What was written. Raises OSError, and ValueError where it is not whole or of another form."""
        if self._home is None:
            raise FileNotFoundError(name)
        with open(self._home / "saved" / name, "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise ValueError("the file is not whole")
            head = file.read(3 * WORD_BYTES)
            count = int.from_bytes(head[2 * WORD_BYTES :], "little")
            if head[:WORD_BYTES] != MAGIC or count * WORD_BYTES > size:
                raise ValueError("not a slot's file")
            words = array("i", body := file.read(count * WORD_BYTES))
            crc = zlib.crc32(body, zlib.crc32(head))
            while chunk := file.read(READ_BYTES):
                crc = zlib.crc32(chunk, crc)
        if tuple(words[:2]) != SERVERS_WORDS or words[2] > len(words) - 3:
            raise ValueError("the server writes its tokens in another form")
        return Saved(name, size, crc, tuple(words[3 : 3 + words[2]]))

    def is_whole(self, saved: Saved) -> bool:
        """Whether the file is as it was written."""
        try:
            return self.read(saved.name, saved.size) == saved
        except (OSError, ValueError):
            return False

    def _remove(self, name: str) -> None:
        if self._home is None:
            return
        with suppress(OSError):
            (self._home / "saved" / name).unlink(missing_ok=True)


def _take(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(parent: Path) -> None:
    """Remove the folders of dead drivers of this user."""
    for home in parent.glob(f"{PREFIX}*"):
        try:
            folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(folder).st_uid == os.geteuid() and _take(folder):
                shutil.rmtree(home, ignore_errors=True)
        finally:
            os.close(folder)
