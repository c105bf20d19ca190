"""A disk that can lose power: a SQLite VFS that knows of each file what a sync has made safe, and what none has.

After a cut, what was synced is there; of what was written since, each write is there, torn in the middle, or not, by
chance: no order is kept between two syncs. That is what a disk with a cache promises, and no more.

Source: SQLite, "Atomic Commit", on what is assumed of hardware; the shadow files of ALICE, OSDI 2014.
"""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random  # a fault is drawn from the seed that the test prints
from typing import Any

import apsw

_SHARED_INDEX = "-shm"
_SECTOR_BYTES = 512


class _File:
    """What is safe of one file, and the writes since: (offset, data), or (size, None) for a cut to that size."""

    def __init__(self, safe: bytes) -> None:
        self.safe = bytearray(safe)
        self.since: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        for offset, data in self.since:
            _apply(self.safe, offset, data)
        self.since.clear()

    def after_cut(self, rng: Random) -> bytes:
        left = bytearray(self.safe)
        for offset, data in self.since:
            fate = rng.randrange(3)
            if fate == 0:
                continue
            if fate == 1 and data is not None and len(data) > _SECTOR_BYTES:
                data = data[: rng.randrange(_SECTOR_BYTES, len(data), _SECTOR_BYTES)]
            _apply(left, offset, data)
        return bytes(left)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class PoweredDisk(apsw.VFS):
    """Register one under a name of its own, and open a store with `vfs=name`. `syncs` counts what was really synced."""

    def __init__(self, name: str) -> None:
        self.syncs = 0
        self._files: dict[str, _File] = {}
        self._lock = threading.Lock()
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """A file whose writes are watched."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        with self._lock:
            if path not in self._files:
                at = Path(path)
                self._files[path] = _File(at.read_bytes() if at.is_file() else b"")
        return _Watched(self, path, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """A deletion is taken as safe at once: SQLite asks for the folder's sync itself."""
        super().xDelete(filename, syncdir)
        with self._lock:
            self._files.pop(filename, None)

    def wrote(self, path: str, offset: int, data: bytes | None) -> None:
        """A write, or a cut to `offset` bytes, that no sync has made safe."""
        with self._lock:
            self._files[path].since.append((offset, data))

    def synced(self, path: str) -> None:
        """Everything written to `path` is safe."""
        with self._lock:
            self.syncs += 1
            self._files[path].sync()

    def cut(self, folder: Path, seed: int) -> None:
        """Write into `folder` what a power cut at this moment would leave."""
        rng = Random(seed)
        with self._lock:
            left = {Path(path).name: file.after_cut(rng) for path, file in self._files.items()}
        for name, content in left.items():
            if not name.endswith(_SHARED_INDEX):
                (folder / name).write_bytes(content)


class _Watched(apsw.VFSFile):
    def __init__(self, disk: PoweredDisk, path: str, flags: list[int]) -> None:
        self._disk = disk
        self._path = path
        inherited: Any = ""
        super().__init__(inherited, path, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        untyped: Any = super()  # apsw does not say what it writes
        untyped.xWrite(data, offset)
        self._disk.wrote(self._path, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.wrote(self._path, newsize, None)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.synced(self._path)
