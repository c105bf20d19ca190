"""A model call that is begun again: after the kernel died, after a person saw to it, after its process was stopped.

Each waits for its turn like a new one, and follows its reservation when that is durable. An attempt that may have been
under way is lost: it is charged at its reservation in the same entry. A call of which pieces were recorded is not begun
again but ends, since the program has seen them, and another answer would not go on where they stop.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi.values import pack
from prytany.kernel.effects.stream import interrupted
from prytany.kernel.ledger import Ledger
from prytany.kernel.models.requests import chat_of
from prytany.kernel.models.reserve import charge, context_bound, reserve_chat, reserve_embed
from prytany.kernel.models.turns import ModelTurns
from prytany.memory.contexts import Contexts
from prytany.ports.model import Model
from prytany.process.process import Process, Reservation


class Core(Protocol):
    """The kernel, as recovery sees it."""

    ledger: Ledger

    @property
    def contexts(self) -> Contexts:
        """Every process's contexts."""
        ...

    def arguments(self, process: Process, n: int) -> Any:
        """The arguments of an open call; None when it is closed for want of them."""
        ...

    @property
    def model_turns(self) -> ModelTurns:
        """Who waits for models."""
        ...

    def endpoint_name(self, process: Process, name: str) -> str:
        """The kernel's name of what `process` means by that name."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...


class Recovery:
    """The model calls that are about to be begun again."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel

    def reserve(self, process: Process, n: int, reserved: Reservation) -> None:
        """Let open call `n` begin again, or wait for its turn; `ev.ModelReserved` begins it once that is durable."""
        pid, call, ledger, turns = process.pid, process.open[n], self._k.ledger, self._k.model_turns
        if turns.expects(process, n):
            return
        if call.queued_ns:
            turns.offer(process, n)
            return
        lost = call.asking or call.reserved is None
        events: list[ev.Event] = [charge(pid, n, reserved, 0, "lost")] if lost else []
        if call.pieces:
            value = pack(interrupted(call.pieces, "lost"))
            result = ledger.digest(value)
            ledger.commit((*events, ev.CallClosed(pid, n, "EMODEL", result, process.tail)), {result: value})
            return
        turn = turns.ask_again(process, n, reserved)
        ledger.commit((*events, turn.event), {})
        turns.made(turn, call.seq, again=True)

    def charge_lost(self, process: Process) -> None:
        """Charge the attempts that an earlier kernel died over, of a process that is stopped: what they had set aside
        would be missing to others for as long as it is."""
        for n in list(process.open):
            if events := self.lost(process, n):
                self._k.ledger.commit(events, {})

    def lost(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What open call `n` is charged that ends before it is begun again, where an earlier kernel died over it."""
        call = process.open[n]
        anew = call.seq > self._k.ledger.begun_at or call.seq in self._k.model_turns.anew
        if call.reserved is None or not call.asking or anew:
            return ()
        return (charge(process.pid, n, call.reserved, 0, "lost"),)

    def bound(self, process: Process, n: int) -> Reservation | None:
        """What open call `n` reserved, with the name of its queue; for one that an earlier version opened, what it
        would have. None where it has no model.
        """
        call = process.open[n]
        if call.call not in ("model_chat", "model_embed") or (call.reserved is not None and call.reserved.endpoint):
            return call.reserved
        if (args := self._k.arguments(process, n)) is None:
            return None
        endpoint = self._k.endpoint_name(process, args.model)
        if (reserved := call.reserved) is not None:
            return msgspec.structs.replace(reserved, endpoint=endpoint)
        model = self._k.endpoint(endpoint)
        if model is None:
            return None
        if call.call == "model_embed":
            e = reserve_embed(process.pid, n, endpoint, model, args.texts)
        else:
            head = self._k.contexts.get(process.pid, args.context) if args.context else None
            chat = chat_of(args)
            e = reserve_chat(process.pid, n, endpoint, model, chat, context_bound(head) if head is not None else 0)
        return Reservation(e.model, e.prompt_tokens, e.completion_tokens, e.cost_usd_micros, e.priced, e.endpoint)
