"""Draining: a kernel that is to stop lets end what is under way, and begins nothing.

It is a property of this kernel's life and nothing of the record: no entry says that it was begun, and the next kernel
goes on as after any other end. So a call that would begin something (`BEGINS`) is not refused: it is not taken, as if
its frame had come after the end, and its worker is not heard any more. It asks the same again when it comes back by
replay. All else that a program asks is still recorded, so that one whose model has answered can reply and be done.

No process begins or comes back meanwhile (there are no places), and no tool call whose turn comes is admitted. What
waits for a time, a message or a person is not under way. Nothing here costs anything before it is begun.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from prytany.kernel.admission import Admission
from prytany.kernel.effects import Effects
from prytany.kernel.ledger import Ledger
from prytany.kernel.live import Live
from prytany.kernel.models.turns import ModelTurns
from prytany.kernel.places import Places
from prytany.kernel.quotas import Quotas
from prytany.kernel.reactions import DEADLINES, MODELS
from prytany.kernel.trap import Trap
from prytany.kernel.workers import Workers
from prytany.process.table import Table

BEGINS = frozenset({
    "process_spawn", "process_exec", "agent_handoff", "message_send", "message_call", "message_receive", "message_next",
    "model_chat", "model_embed", "tool_call", "topic_publish", "pipe_read", "pipe_write",
})  # fmt: skip
"""Calls that begin a process, a message's way, a model's work or a tool's."""
LOOK_S = 0.02
"""Between two looks at what is under way. To be told of it would cost every call of a kernel that does not stop."""


class UnderWay(NamedTuple):
    """What a stop would cut: calls of models and of tools, other effects, and programs in the middle of a step."""

    models: int = 0
    tools: int = 0
    others: int = 0
    steps: int = 0

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        counts = (
            (self.models, "call of a model", "calls of models"), (self.tools, "call of a tool", "calls of tools"),
            (self.others, "other call", "other calls"), (self.steps, "program at work", "programs at work"),
        )  # fmt: skip
        return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count) or "nothing"


class Core(Protocol):
    """The kernel, as its draining sees it."""

    ledger: Ledger
    trap: Trap
    quotas: Quotas
    places: Places
    admission: Admission
    model_turns: ModelTurns
    effects: Effects
    workers: Workers
    draining: bool
    closing: bool

    @property
    def table(self) -> Table:
        """The process table."""
        ...


class _Held(Trap):
    """Takes calls until one would begin something; from that on its worker is not heard."""

    deaf: set[Live]

    def call(self, live: Live, n: int, name: str, raw: bytes) -> None:
        """One live call."""
        if live in self.deaf:
            return
        if name in BEGINS:
            self.deaf.add(live)
            return
        super().call(live, n, name, raw)


class Draining:
    """From its making on, the kernel begins nothing."""

    def __init__(self, kernel: Core) -> None:
        """`kernel` is handed its calls through another trap, and has no places left."""
        self._k = kernel
        self._trap = _Held.of(kernel.trap)
        self._trap.deaf = set()
        kernel.draining = True
        kernel.trap = self._trap
        kernel.places.most = 0
        kernel.admission.held = kernel.model_turns.held = True
        models = kernel.effects.models
        models.held = True
        for pid, n in list(kernel.effects.begun()):
            process = kernel.table.get(pid)
            if process is not None and n not in process.incidents and not models.asking(pid, n):
                models.stand(process, n)

    def under_way(self) -> UnderWay:
        """What a stop would cut now. Looks at every worker, and at every effect that has begun."""
        k, models, tools, others = self._k, 0, 0, 0
        for pid, n in k.effects.begun():
            process = k.table.get(pid)
            call = process.open.get(n) if process is not None else None
            if process is None or call is None or call.call in DEADLINES or n in process.incidents:
                continue  # its end is not durable yet, or nothing is at work for it
            models += call.call in MODELS and k.effects.models.asking(pid, n)
            tools += call.call == "tool_call"
            others += call.call not in MODELS and call.call != "tool_call"
        steps = sum(map(self._in_a_step, k.workers.live.values()))
        return UnderWay(models, tools, others, steps)

    def _in_a_step(self, live: Live) -> bool:
        """Whether its program does something, and is heard."""
        return live.in_steps and live.cursor is None and live.delivered < live.sent and live not in self._trap.deaf

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, and all of it is durable."""
        journal = self._k.ledger.journal
        return journal.durable == journal.head.seq and not self.under_way()

    async def until_quiet(self) -> None:
        """Return when nothing is under way. By the loop's time: a clock that is set would make it long."""
        loop = asyncio.get_running_loop()
        while not (self.quiet or self._k.closing):
            looked: asyncio.Future[None] = loop.create_future()
            timer = loop.call_later(LOOK_S, looked.set_result, None)
            try:
                await looked
            finally:
                timer.cancel()
