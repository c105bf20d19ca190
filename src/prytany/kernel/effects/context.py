"""Effects of contexts: what a model is asked, what becomes of its answer, and what has to be read from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Edquot, Enoent
from prytany.kernel.effects.chains import Strand
from prytany.kernel.effects.finished import Finished
from prytany.kernel.effects.held import HeldContexts
from prytany.kernel.handlers.context import Keeper, answer_in
from prytany.kernel.ledger import TENANT
from prytany.memory.context import images_of
from prytany.ports.store import Reader
from prytany.process.process import Process
from prytany.process.table import Table

READ_BYTES_MAX = limits.RESULT_BYTES_MAX - (64 << 10)


class Owner(Keeper, Protocol):
    """The kernel, as the effects of contexts see it."""

    reader: Reader

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...

    def wait_durable(self, seq: int) -> Awaitable[None]:
        """Until entry `seq` can be read."""
        ...


class ContextEffects:
    """The effects that end at a context."""

    def __init__(self, owner: Owner, bytes_max: int = 0) -> None:
        """`bytes_max` bounds what is held of contexts; 0 is `limits.CONTEXT_CACHE_BYTES`."""
        self._owner = owner
        self.held = HeldContexts(
            lambda: owner.reader,
            lambda tenant: owner.digest,
            bytes_max or limits.CONTEXT_CACHE_BYTES,
            self._runs,
            owner.lost,
        )

    def _runs(self, pid: int) -> bool:
        process = self._owner.table.get(pid)
        return process is not None and process.needs_place()

    async def prompt(self, process: Process, context: int) -> list[dict[str, Any]]:
        """What the model is told before a call's own messages.

        Nobody moves the head while the call is open, so that it is where it was when the call was decided.
        """
        strand, length = await self._whole(process.pid, context)
        return strand.messages[:length]

    def images(self, process: Process, context: int) -> int:
        """How many pictures are in a context."""
        head = self._owner.contexts.get(process.pid, context)
        return head.images if head is not None else 0

    def answered(
        self, process: Process, n: int, value: dict[str, Any], model: str
    ) -> tuple[dict[str, Any], tuple[ev.Event, ...]]:
        """What the model's answer to call `n` adds to its context, and the answer with the node that it made."""
        return answer_in(self._owner, process, n, value, ev.Source("model", model))

    def read(self, process: Process, n: int, args: Any) -> Awaitable[dict[str, Any]]:
        """Messages of a context, as it was when the call was made."""
        return self._read(process.pid, args, process.open[n].subject)

    async def _read(self, pid: int, args: Any, length: int) -> dict[str, Any]:
        strand, _ = await self._whole(pid, args.context)
        messages: list[dict[str, Any]] = []
        size = 0
        for link in strand.links[args.first : min(args.first + args.count, length)]:
            shown = {"node": link.node, "source": msgspec.to_builtins(link.source), "labels": link.labels}
            size += link.size + len(msgspec.msgpack.encode(shown)) + len("message")
            if messages and size > READ_BYTES_MAX:
                break
            messages.append({"message": link.message, **shown})
        return {"length": length, "messages": messages}

    def fork(self, process: Process, n: int, args: Any) -> Awaitable[Finished]:
        """A second context from a node before the head."""
        return self._fork(process.pid, args, process.open[n].subject)

    async def _fork(self, pid: int, args: Any, length: int) -> Finished:
        strand, _ = await self._whole(pid, args.context)
        contexts = self._owner.contexts
        if contexts.count(pid) >= limits.CONTEXTS_MAX:
            raise Edquot(f"{limits.CONTEXTS_MAX} contexts are open; close some", call="context_fork")
        place = next((p for p in range(length - 1, -1, -1) if strand.links[p].node == args.node), None)
        if place is None:
            raise Enoent(f"context {args.context} has no such node", call="context_fork")
        shared = strand.links[: place + 1]
        labels = sorted({*strand.root[1], *(label for link in shared for label in link.labels)})
        number = contexts.next_number(pid)
        seq, at = shared[-1].place
        size, images = sum(link.size for link in shared), sum(images_of(link.message) for link in shared)
        forked = ev.ContextForked(pid, number, args.context, args.node, seq, at, len(shared), size, images, labels)
        return Finished({"context": number, "node": args.node, "length": len(shared)}, events=(forked,))

    async def _whole(self, pid: int, number: int) -> tuple[Strand, int]:
        head = self._owner.contexts.get(pid, number)
        if head is None:
            raise Enoent(f"context {number} was closed")
        seq, at = head.seq, head.at
        await self._owner.wait_durable(seq)  # what was appended since the call is not in the journal's file yet
        return await self.held.read(TENANT, pid, seq, at)
