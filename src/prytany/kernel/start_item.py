"""What a worker is started with: item 0, made of what the journal names, so that a process always starts alike."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from prytany.abi.values import pack
from prytany.kernel.ledger import Ledger
from prytany.process.process import Process

SOURCES_KEPT = 16
ARGUMENTS_KEPT = 1_024
ARGUMENT_BYTES_KEPT = 4_096


class Owner(Protocol):
    """The kernel, as its start items see it."""

    ledger: Ledger

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content, by its digest; `seq` is the entry that names it, where it may lie in its row."""
        ...


class StartItems:
    """Makes them, and keeps what is likely to be wanted again: the sources that were used last, since a fleet begins
    the same few again and again, and the small arguments of those that were spawned right now."""

    def __init__(self, kernel: Owner) -> None:
        self._kernel = kernel
        self._sources: dict[bytes, bytes] = {}  # by digest; the one that was used last is the last
        self._arguments: dict[int, bytes] = {}  # by pid

    def keep(self, pid: int, argument: bytes) -> None:
        """What a process begins with that was spawned right now."""
        if len(argument) <= ARGUMENT_BYTES_KEPT:
            self._arguments[pid] = argument
            if len(self._arguments) > ARGUMENTS_KEPT:
                del self._arguments[next(iter(self._arguments))]

    def drop(self, pid: int) -> None:
        """It has ended, perhaps before it began."""
        self._arguments.pop(pid, None)

    def make(self, process: Process) -> bytes:
        """The packed item.

        Raises:
            Eio: content of it is missing, was forgotten, or is damaged.
            StoreError: it cannot be read.
        """
        args, kwargs, handed = self._given(process)
        return pack(
            {
                "program": process.program,
                "python": process.python,
                "source": self._source(process.source),
                "args": args,
                "kwargs": kwargs,
                "seed": process.seed,
                "pid": process.pid,
                "parent": process.spawned_by,
                "incarnation": process.incarnation,
                "name": process.name,
                "pledge": process.pledge,
                "epoch": process.epoch,
                "base": process.base,
                "state": self._kernel.content(process.snapshot, process.snapshot_seq) if process.snapshot else None,
                "migrating": bool(process.previous),
                **handed,
                **self._born(process.pid),
            }
        )

    def _born(self, pid: int) -> dict[str, Any]:
        """Which of its standard input and output were pipes when it came; what was joined since, it was not told of."""
        ends = self._kernel.ledger.state.pipes.born.get(pid)
        return {} if ends is None else {"ends": [bool(ends.stdin), bool(ends.stdout)]}

    def _given(self, process: Process) -> tuple[Any, Any, dict[str, Any]]:
        """Its arguments; and what it was handed over with, where that gave it others."""
        if process.handed:
            self._arguments.pop(process.pid, None)
            given = msgspec.msgpack.decode(self._kernel.content(process.handed, process.handed_seq))
            by = {"by": process.handed_by, "context": process.handed_context}
            return given.pop("args"), {}, {"handed": {**given, **by}}
        argument = self._arguments.pop(process.pid, None)
        if argument is None:
            argument = self._kernel.content(process.argument, process.spawned_seq)
        args, kwargs = msgspec.msgpack.decode(argument)
        return args, kwargs, {}

    def _source(self, digest: bytes) -> bytes:
        source = self._sources.pop(digest, None)
        if source is None:
            source = self._kernel.content(digest)
            if len(self._sources) >= SOURCES_KEPT:
                del self._sources[next(iter(self._sources))]
        self._sources[digest] = source
        return source
