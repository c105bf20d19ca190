"""Effects: what is done outside once its intent is durable. What comes back is the next input.

Each effect is started from the call's recorded arguments alone, so that recovery can start it again: a model is asked
again (a lost attempt is a lost attempt), reading, listing and looking up is done again, writing puts the same content
in the same place. None of these is in doubt after a crash; an effect that would be has to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from prytany.abi import limits
from prytany.abi.errors import Eio, Etimedout, KernelError
from prytany.abi.values import pack, pack_error
from prytany.kernel.effects.context import ContextEffects
from prytany.kernel.effects.context import Owner as ContextOwner
from prytany.kernel.effects.finished import Finished
from prytany.kernel.effects.model import ModelEffects
from prytany.kernel.effects.model import Owner as ModelOwner
from prytany.kernel.effects.paced import Owner as PacedOwner
from prytany.kernel.effects.paced import Paced
from prytany.kernel.effects.process import Owner as ProcessOwner
from prytany.kernel.effects.process import ProcessEffects
from prytany.kernel.effects.tool import TOOL_RUN, InDoubt, ToolEffects, doubt_events
from prytany.kernel.quotas import Quotas
from prytany.ports.clock import Clock
from prytany.ports.courier import Courier
from prytany.ports.files import Files
from prytany.ports.model import Model
from prytany.ports.tool import Tools
from prytany.ports.watch import Watch
from prytany.process.process import Process

Effect = Callable[[Process, int, Any], Awaitable[Any]]
"""Of an open call, by its process, its number and its arguments; what it gives is the result."""
ENDLESS = frozenset(
    {
        "message_receive", "message_next", "message_call", "message_send", "lock_acquire", "segment_wait", "tool_hold",
    }
)  # fmt: skip
"""Calls whose subject is the time at which they are given up; 0 for never."""


class Outside(NamedTuple):
    """What effects reach."""

    clock: Clock
    models: dict[str, Model]
    files: Files
    tools: Mapping[str, Tools] = MappingProxyType({})
    """By file."""
    couriers: Mapping[str, Courier] = MappingProxyType({})
    """By fleet and channel, as `kernel.notices.key_of` names them."""
    home: str = ""
    """Where what notices name is to be looked at; "" where that goes without saying."""
    watch: Watch | None = None
    """Of files of the host; None where nothing is watched."""


class Owner(ModelOwner, ContextOwner, ProcessOwner, PacedOwner, Protocol):
    """The kernel, as effects see it."""

    @property
    def quotas(self) -> Quotas:
        """The kernel's bounds."""
        ...

    def complete(self, pid: int, n: int, errno: str, value: bytes, made: Finished) -> None:
        """Call `n` has its result: `value`, packed, or an error; and the events that `made` has for it."""
        ...

    def loaded_tools(self, run: int, name: str) -> Tools | None:
        """The file of a tool, as it was granted to a run."""
        ...


class Effects:
    """Effects in flight, by process and call."""

    def __init__(self, outside: Outside, owner: Owner) -> None:
        self._outside = outside
        self._owner = owner
        self._tasks: dict[int, dict[int, asyncio.Task[None]]] = {}
        """By process, then by call, so that the end of a process looks at its own alone."""
        contexts = ContextEffects(owner, owner.quotas.context_bytes)
        self.contexts = contexts.held
        self.paced = Paced(outside.clock, owner)
        self.models = ModelEffects(outside.clock, owner, contexts)
        self._effects: dict[str, Effect] = {
            "process_spawn": ProcessEffects(owner).spawn,
            "timer_wait": lambda p, n, a: outside.clock.sleep_until(a.deadline_ns),
            "model_chat": self.models.chat,
            **dict.fromkeys(ENDLESS, self._expire),
            "model_embed": self.models.embed,
            "context_read": contexts.read,
            "context_fork": contexts.fork,
            "file_read": lambda p, n, a: outside.files.read(p.unveil, a.path),
            "file_write": lambda p, n, a: outside.files.write(p.unveil, a.path, a.data),
            TOOL_RUN: ToolEffects(owner.loaded_tools, lambda seq: owner.table.home_at(seq)).run,
            "file_list": lambda p, n, a: outside.files.list(p.unveil, a.path),
        }

    async def _expire(self, process: Process, n: int, args: Any) -> None:
        await self._outside.clock.sleep_until(process.open[n].subject)
        raise Etimedout("nothing came in time")

    def has(self, call: str) -> bool:
        """Whether `call` has an effect; one that waits for another event has none."""
        return call in self._effects

    def start(self, process: Process, n: int, call: str, args: Any) -> None:
        """Begin the effect of an open call; a call that waits for another event has none."""
        effect, own = self._effects.get(call), self._tasks.get(process.pid)
        if effect is None or (own is not None and n in own):
            return
        if call in ENDLESS and not process.open[n].subject:
            return  # it waits as long as it takes
        if own is None:
            own = self._tasks[process.pid] = {}
        own[n] = asyncio.get_running_loop().create_task(self._run(process, n, call, effect, args))

    def begun(self) -> Iterator[tuple[int, int]]:
        """The calls whose effects are under way: process and number."""
        return ((pid, n) for pid, own in self._tasks.items() for n in own)

    def under_way(self, pid: int, n: int) -> bool:
        """Whether the effect of that call has begun here, and has not ended."""
        return n in self._tasks.get(pid, ())

    def cancel(self, pid: int, n: int) -> None:
        """Nobody wants this result any more."""
        self.paced.left(pid, n)
        task = self._take(pid, n)
        if task is not None:
            task.cancel()

    def cancel_all(self, pid: int) -> None:
        """The process is gone."""
        self.paced.left_all(pid)
        for task in self._tasks.pop(pid, {}).values():
            task.cancel()

    def _take(self, pid: int, n: int) -> asyncio.Task[None] | None:
        own = self._tasks.get(pid)
        task = own.pop(n, None) if own is not None else None
        if own is not None and not own:
            del self._tasks[pid]
        return task

    async def close(self) -> None:
        """End everything in flight; it begins again when the kernel comes back."""
        tasks = [task for own in self._tasks.values() for task in own.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.contexts.close()
        await self.paced.close()

    async def _run(self, process: Process, n: int, call: str, effect: Effect, args: Any) -> None:
        made = Finished(None)
        try:
            try:
                answer = await effect(process, n, args)
                made = answer if isinstance(answer, Finished) else Finished(answer)
                value, errno = pack(made.value), made.errno
                if len(value) > limits.RESULT_BYTES_MAX:
                    raise Eio(
                        f"the result has {len(value)} bytes, and {limits.RESULT_BYTES_MAX} is the most", call=call
                    )
            except InDoubt:
                # Where it was killed or cancelled meanwhile, and that is not durable yet, nobody asks any more.
                if self._take(process.pid, n) is not None and n in process.open:
                    self._owner.note(doubt_events(process.pid, n))
                return
            except KernelError as error:
                errno, value = error.errno, pack_error(error.message, error.detail)
            except Exception as error:
                # A driver that fails in its own way must not leave its caller waiting for ever.
                errno, value = "EIO", pack_error(f"the driver failed: {type(error).__name__}")
            self.paced.brought(process.pid, n, value)
            if self._take(process.pid, n) is not None:
                self._owner.complete(process.pid, n, errno, value, made)
        except BaseException:
            # Said here, and not at each start: hardly an effect ends like this.
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(self._owner.lost)
            raise
