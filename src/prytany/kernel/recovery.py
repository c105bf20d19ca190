"""A model call that is begun again: after the kernel died, after a person saw to it, after its process was stopped.

Each beginning is reserved anew, and follows the reservation when that is durable. An attempt that may have been under
way is lost: it is charged at its reservation in the same entry. A call of which pieces were recorded is not begun again
but ends, since the program has seen them, and another answer would not go on where they stop.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from prytany.abi import events as ev
from prytany.kernel.effects.stream import interrupted
from prytany.kernel.ledger import Ledger
from prytany.kernel.reserve import charge
from prytany.process.process import Process, Reservation


class Core(Protocol):
    """The kernel, as recovery sees it."""

    ledger: Ledger


class Recovery:
    """The model calls that are about to be begun again."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._waiting: set[tuple[int, int]] = set()

    def reserve(self, process: Process, n: int, reserved: Reservation) -> None:
        """Reserve open call `n` anew; once durable, `ev.ModelReserved` begins it."""
        if (process.pid, n) in self._waiting:
            return
        pid, call, ledger = process.pid, process.open[n], self._k.ledger
        events: list[ev.Event] = [charge(pid, n, reserved, 0, "lost")] if call.asking else []
        if call.pieces:
            value = msgspec.msgpack.encode(interrupted(call.pieces, "lost"))
            result = ledger.digest(value)
            ledger.commit((*events, ev.CallClosed(pid, n, "EMODEL", result, process.tail)), {result: value})
            return
        self._waiting.add((pid, n))
        again = ev.ModelReserved(
            pid, n, reserved.model, reserved.prompt_tokens, reserved.completion_tokens, reserved.cost_usd_micros
        )
        ledger.commit((*events, again), {})

    def reserved(self, pid: int, n: int) -> bool:
        """Whether the reservation of call `n`, now durable, is one that begins it again."""
        if (pid, n) not in self._waiting:
            return False
        self._waiting.discard((pid, n))
        return True
