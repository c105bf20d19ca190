"""Programs that were looked up: kept for as long as nothing that they were read from has changed.

A spawn takes a program as it is on disk then: an edit is seen by the next spawn. So what is kept is held against the
files at each spawn, by their stamps; that takes a `stat` for each file and folder, and nothing is read.

Reading a program and parsing it takes milliseconds at best, and whoever spawns names the file. So what an agent asks
for and is not kept is read in a thread, one program at a time, while the kernel goes on. The parser keeps all threads
waiting, so the kernel stands still while one file is parsed, and never for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from prytany.kernel.outcome import Program
from prytany.system.looks import SETTLED_NS, Look, Looks, is_same, reads_same
from prytany.system.programs import Read, find_program, locate, read_program

PROGRAMS_KEPT = 1_024
BYTES_KEPT = 64 << 20


class _Kept:
    """One file's program. `looks` hold what was found until the stamps alone can be believed."""

    __slots__ = ("looks", "programs", "read", "settled", "size")

    def __init__(self, read: Read, looks: list[Look], settled: bool) -> None:
        self.read = read
        self.looks = [look._replace(found=b"") for look in looks] if settled else looks
        self.settled = settled
        self.size = len(read.recorded) * (1 if settled else 2)
        self.programs: dict[str, Program] = {}

    def program(self, name: str) -> Program:
        found = self.programs.get(name)
        if found is None:
            found = self.programs[name] = self.read.program(name)
        return found


class Programs:
    """The programs that one kernel looked up. Used by its loop's thread alone, but for the reading itself."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """`now_ns` is the wall clock, by which files are stamped."""
        self._now_ns = now_ns
        self._kept: dict[str, _Kept] = {}  # by path; the one that was used last is the last
        self._bytes = 0
        self._reading = asyncio.Lock()

    def find(self, target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
        """As `find_program`, which it waits for where the program is not known."""
        if recorded:
            return find_program(target, beside, recorded, closed=closed)
        path, name = locate(target, beside, closed)
        return self._known(path, name) or self._keep(*self._read(path, name)).program(name)

    def known(self, target: str, beside: str, *, closed: Sequence[str] = ()) -> Program | None:
        """As `find`, of what is kept and has not changed; None for what has to be read. Raises as `find_program`."""
        return self._known(*locate(target, beside, closed))

    async def look_up(
        self, target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()
    ) -> Program:  # fmt: skip
        """As `find`, while the loop goes on."""
        async with self._reading:
            if recorded:
                return await asyncio.to_thread(find_program, target, beside, recorded, closed=closed)
            path, name = locate(target, beside, closed)
            if (known := self._known(path, name)) is not None:
                return known  # whoever was first looked it up for all
            read = await asyncio.to_thread(self._read, path, name)
            return self._keep(*read).program(name)

    def _read(self, path: str, name: str) -> tuple[Read, Looks, int]:
        began_ns, looks = self._now_ns(), Looks()
        return read_program(path, name, b"", looks), looks, began_ns

    def _known(self, path: str, name: str) -> Program | None:
        kept = self._kept.get(path)
        if kept is None:
            return None
        if not self._is_unchanged(kept):
            self._drop(path)
            return None
        if next(reversed(self._kept)) != path:
            self._kept[path] = self._kept.pop(path)
        return kept.program(name)

    def _is_unchanged(self, kept: _Kept) -> bool:
        if kept.settled:
            return all(is_same(look) for look in kept.looks)
        now_ns = self._now_ns()
        if not all(is_same(look) and reads_same(look) for look in kept.looks):
            return False
        if _is_settled(kept.looks, now_ns):
            kept.settled, kept.looks = True, [look._replace(found=b"") for look in kept.looks]
        return True

    def _keep(self, read: Read, looks: Looks, began_ns: int) -> _Kept:
        kept = _Kept(read, looks.made, _is_settled(looks.made, began_ns))
        self._drop(read.path)
        if looks.complete:
            self._kept[read.path] = kept
            self._bytes += kept.size
            while self._bytes > BYTES_KEPT or len(self._kept) > PROGRAMS_KEPT:
                self._drop(next(iter(self._kept)))
        return kept

    def _drop(self, path: str) -> None:
        if (kept := self._kept.pop(path, None)) is not None:
            self._bytes -= kept.size


def _is_settled(looks: list[Look], now_ns: int) -> bool:
    """Whether the last change of each was well before `now_ns`, when it was read or before."""
    return all(max(look.stamp[:2]) + SETTLED_NS < now_ns for look in looks)
