"""Effects: what is done outside once its intent is durable. What comes back is the next input.

Each effect is started from the call's recorded arguments alone, so that recovery can start it again: a model is asked
again (a lost attempt is a lost attempt), reading and listing is done again, writing puts the same content in the same
place. None of these is in doubt after a crash; an effect that would be has to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eio, KernelError
from prytany.kernel.effects.model import ModelEffects
from prytany.ports.clock import Clock
from prytany.ports.files import Files
from prytany.ports.model import Model
from prytany.process.process import Process


class Outside(NamedTuple):
    """What effects reach."""

    clock: Clock
    models: dict[str, Model]
    files: Files


class Owner(Protocol):
    """The kernel, as effects see it."""

    def complete(self, pid: int, n: int, errno: str, value: bytes, events: tuple[ev.Event, ...]) -> None:
        """Call `n` has its result."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Something happened on the way."""
        ...


class Effects:
    """Effects in flight, by process and call."""

    def __init__(self, outside: Outside, owner: Owner) -> None:
        self._outside = outside
        self._owner = owner
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._models = ModelEffects(outside.clock, outside.models, owner.note)
        self._effects: dict[str, Callable[[Process, int, Any], Awaitable[Any]]] = {
            "timer_wait": lambda p, n, a: outside.clock.sleep_until(a.deadline_ns),
            "model_chat": self._models.chat,
            "file_read": lambda p, n, a: outside.files.read(p.unveil, a.path),
            "file_write": lambda p, n, a: outside.files.write(p.unveil, a.path, a.data),
            "file_list": lambda p, n, a: outside.files.list(p.unveil, a.path),
        }

    def has(self, call: str) -> bool:
        """Whether `call` has an effect; one that waits for another event has none."""
        return call in self._effects

    def start(self, process: Process, n: int, call: str, args: Any) -> None:
        """Begin the effect of an open call; a call that waits for another event has none."""
        effect = self._effects.get(call)
        if effect is not None and (process.pid, n) not in self._tasks:
            task = asyncio.ensure_future(self._run(process, n, call, effect(process, n, args)))
            self._tasks[process.pid, n] = task

    def cancel(self, pid: int, n: int) -> None:
        """Nobody wants this result any more."""
        task = self._tasks.pop((pid, n), None)
        if task is not None:
            task.cancel()

    def cancel_all(self, pid: int) -> None:
        """The process is gone."""
        for key in [key for key in self._tasks if key[0] == pid]:
            self.cancel(*key)

    async def close(self) -> None:
        """End everything in flight; it begins again when the kernel comes back."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, process: Process, n: int, call: str, effect: Awaitable[Any]) -> None:
        try:
            value = msgspec.msgpack.encode(await effect)
            if len(value) > limits.RESULT_BYTES_MAX:
                raise Eio(f"the result has {len(value)} bytes, and {limits.RESULT_BYTES_MAX} is the most", call=call)
            errno = ""
        except KernelError as error:
            errno, value = error.errno, msgspec.msgpack.encode([error.message, error.detail])
        except Exception as error:
            # A driver that fails in its own way must not leave its caller waiting for ever.
            errno, value = "EIO", msgspec.msgpack.encode([f"the driver failed: {type(error).__name__}", {}])
        if self._tasks.pop((process.pid, n), None) is not None:
            self._owner.complete(process.pid, n, errno, value, ())
