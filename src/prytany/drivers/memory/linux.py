"""Linux: the pressure that the system measures, and what is left of the tightest limit above this process.

    pressure  memory.pressure of the nearest control group that has one, else /proc/pressure/memory: `some avg10`
    left      of each control group up to the root that has a limit: the limit, less what it uses beside file pages that
              nobody touched of late; and MemAvailable of the machine. The smallest part of its whole counts

Both versions of control groups are understood. What is not there, or says nothing that can be read, is left out.

Source: Documentation/accounting/psi.rst, admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prytany.ports.memory import PPM, Sample

READ_BYTES_MAX = 64 << 10
UNLIMITED_BYTES = 1 << 60
"""A limit of this or more is none: version 1 writes it as a huge number."""


class _Names(NamedTuple):
    limit: str
    used: str
    idle: str
    """In `memory.stat`."""


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Names("memory.max", "memory.current", "inactive_file")


class LinuxMemory:
    """See the module."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._groups = list(_groups(_text(proc / "self" / "cgroup"), cgroups))

    def sample(self) -> Sample | None:
        """How it stands; None where there is no /proc."""
        rooms = [room for folder, names in self._groups if (room := _room_of(folder, names)) is not None]
        machine = _fields(_text(self._proc / "meminfo"))
        if (total := machine.get("MemTotal:", 0)) and "MemAvailable:" in machine:
            rooms.append((machine["MemAvailable:"] << 10, total << 10))
        if not rooms:
            return None
        free, total = min(rooms, key=lambda room: room[0] / room[1])
        return Sample(free, total, self._stalled())

    def _stalled(self) -> int:
        for place in (*(folder / "memory.pressure" for folder, _ in self._groups), self._proc / "pressure" / "memory"):
            if (stalled := _some(_text(place))) is not None:
                return stalled
        return 0


def _groups(listed: str, cgroups: Path) -> Iterator[tuple[Path, _Names]]:
    """The control groups of this process with a say about memory, the nearest first, up to the root of each tree."""
    for line in listed.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            top, names = cgroups / "memory", _V1
        elif not controllers and path:
            unified = cgroups / "unified"
            top, names = unified if unified.is_dir() else cgroups, _V2
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for depth in range(len(parts), -1, -1):
            folder = top.joinpath(*parts[:depth])
            if folder.is_dir():
                yield folder, names


def _room_of(folder: Path, names: _Names) -> tuple[int, int] | None:
    limit = _number(_text(folder / names.limit))
    used = _number(_text(folder / names.used))
    if limit is None or used is None or not 0 < limit < UNLIMITED_BYTES:
        return None
    idle = min(used, _fields(_text(folder / "memory.stat")).get(names.idle, 0))
    return max(0, limit - (used - idle)), limit


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(READ_BYTES_MAX).decode("ascii", "replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _fields(text: str) -> dict[str, int]:
    """Names and numbers, a line each."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        number = _number(rest.split()[0]) if rest.split() else None
        if number is not None:
            found[name] = number
    return found


def _some(text: str) -> int | None:
    """`some avg10` of a pressure file."""
    for line in text.splitlines():
        if line.startswith("some "):
            for field in line.split():
                name, _, value = field.partition("=")
                whole, _, part = value.partition(".")
                if name == "avg10" and whole.isdecimal() and part.isdecimal():
                    return min(PPM, int(whole) * 10_000 + int(part[:2].ljust(2, "0")) * 100)
    return None
