"""Waiting for files of a folder to change: by the kernel's word where it gives it, else by a look each second."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Protocol, cast

from prytany.drivers.clocks.system import SystemClock

LOOK_NS = 1_000_000_000
_CLOEXEC, _NONBLOCK = 0o2000000, 0o4000
_MODIFY, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x80, 0x100, 0x200
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16


class _Inotify(Protocol):
    def inotify_init1(self, flags: int) -> int: ...
    def inotify_add_watch(self, fd: int, path: bytes, mask: int) -> int: ...


class Watch:
    """Tells of changes since it was made, or since it was asked before. Source: inotify(7)."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        """Of these files in it, whether they are there or not."""
        self._names = {os.fsencode(name) for name in names}
        self._fd = -1
        try:
            libc = cast(_Inotify, ctypes.CDLL(None, use_errno=True))
            fd = libc.inotify_init1(_CLOEXEC | _NONBLOCK)
            if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(folder), _MODIFY | _MOVED_TO | _CREATE | _DELETE) < 0:
                os.close(fd)
                fd = -1
            self._fd = fd
        except (OSError, AttributeError):  # not Linux
            pass

    async def changed(self) -> None:
        """Return when one of them may have changed."""
        if self._fd < 0:
            clock = SystemClock()
            await clock.sleep_until(clock.now_ns() + LOOK_NS)
            return
        loop = asyncio.get_running_loop()
        while not self._read():
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(self._fd, _tell, ready)
            try:
                await ready
            finally:
                loop.remove_reader(self._fd)

    def _read(self) -> bool:
        """Take what was told; whether it is about one of the files, or too much to know."""
        about = False
        while True:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return about
            at = 0
            while at < len(data):
                watch, _, _, size = _EVENT.unpack_from(data, at)
                at += _EVENT.size + size
                about = about or watch < 0 or data[at - size : at].rstrip(b"\x00") in self._names

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _tell(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
