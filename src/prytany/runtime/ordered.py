"""Tasks and futures that every run puts into sets in the same order.

asyncio keeps tasks in sets (`wait`, `as_completed`, `TaskGroup`, `all_tasks`), and a set orders its members by their
hash, which is by default an address. Here it is the number of their creation. Only the order changes: equality stays
identity. What is left to the program is its own sets of its own objects; a replay that they lead astray is EREPLAY.

Must not be installed outside a worker and the zygote that it is forked from.
Source: probes/worker_loop_replay.py, which repeats in none of 16 runs without.
"""

# pyright: reportPrivateUsage=false
# asyncio has no public place to order what it keeps in sets.
from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")
_numbers = itertools.count(1)


class OrderedFuture(asyncio.Future[_T]):
    """A future that hashes by its number of creation."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.number = next(_numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number

    __eq__ = object.__eq__


class OrderedTask(asyncio.Task[_T]):
    """A task that hashes by its number of creation, and is named by it: asyncio's own count began before the fork."""

    def __init__(self, coro: Any, *, name: str | None = None, **kwargs: Any) -> None:
        self.number = number = next(_numbers)  # before the base registers the task in a set
        super().__init__(coro, name=name or f"Task-{number}", **kwargs)

    def __hash__(self) -> int:
        return self.number

    __eq__ = object.__eq__


class OrderedSet(set[_T]):
    """A set that iterates, and pops, in the order of its members' numbers."""

    def __iter__(self) -> Iterator[_T]:
        return iter(sorted(super().__iter__(), key=hash))

    def pop(self) -> _T:
        """Remove and return the first member."""
        for first in self:
            self.remove(first)
            return first
        raise KeyError("pop from an empty set")


class OrderedWeak:
    """The async generators of a loop, in the order of their first step; stands in for asyncio's WeakSet."""

    def __init__(self) -> None:
        self._refs: dict[int, weakref.ref[AsyncGenerator[Any, Any]]] = {}

    def add(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Remember `agen` for as long as it lives."""
        key = id(agen)
        self._refs[key] = weakref.ref(agen, lambda ref: self._forget(key, ref))

    def _forget(self, key: int, ref: weakref.ref[AsyncGenerator[Any, Any]]) -> None:
        if self._refs.get(key) is ref:  # the address may have been given to a later one
            del self._refs[key]

    def discard(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Forget `agen`."""
        self._refs.pop(id(agen), None)

    def clear(self) -> None:
        """Forget all."""
        self._refs.clear()

    def __len__(self) -> int:
        return len(self._refs)

    def __iter__(self) -> Iterator[AsyncGenerator[Any, Any]]:
        return iter([agen for ref in list(self._refs.values()) if (agen := ref()) is not None])


def install_ordering() -> None:
    """Make asyncio's module functions keep the order that they are given, and number from 1. For a worker only."""
    global _numbers
    _numbers = itertools.count(1)
    tasks: Any = asyncio.tasks
    if getattr(tasks, "_prytany_ordered", False):
        return
    first_as_completed, first_wait, first_all_tasks = tasks.as_completed, tasks.wait, tasks.all_tasks

    def as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
        if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
            return first_as_completed(fs, timeout=timeout)  # raises the TypeError that people know
        # Coroutines hash by address; as tasks, made in the order given, they do not.
        unique: dict[int, Any] = {id(f): f for f in fs}
        return first_as_completed([asyncio.ensure_future(f) for f in unique.values()], timeout=timeout)

    async def wait(fs: Iterable[Any], **options: Any) -> tuple[set[Any], set[Any]]:
        done, pending = await first_wait(fs, **options)
        return OrderedSet[Any](done), OrderedSet[Any](pending)

    def all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[Any]:
        return OrderedSet[Any](first_all_tasks(loop))

    for name, function in (("as_completed", as_completed), ("wait", wait), ("all_tasks", all_tasks)):
        setattr(tasks, name, function)
        setattr(asyncio, name, function)

    def lazy_number(self: Any) -> int:
        """gather's future is made by asyncio itself, so that it is numbered when it first enters a set."""
        number: int | None = getattr(self, "number", None)
        if number is None:
            number = self.number = next(_numbers)
        return number

    tasks._GatheringFuture.__hash__ = lazy_number
    named: Any = asyncio
    named.Future, named.Task = OrderedFuture, OrderedTask  # for a program that makes them by hand
    tasks._prytany_ordered = True
