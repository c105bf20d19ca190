"""Calls that were open when the kernel died: how each goes on.

Files and timers are begun again. A model call that was being made is lost: it is charged at its reservation, and asked
again when that is durable; one of which pieces were recorded ends instead, since the program has seen them and another
answer would not go on where they stop. A call that waited for a person made no attempt, and is tried again.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Protocol

import msgspec

from prytany.abi import events as ev
from prytany.kernel.effects.stream import interrupted
from prytany.kernel.ledger import Ledger
from prytany.kernel.reserve import charge
from prytany.process.process import Process


class Core(Protocol):
    """The kernel, as recovery sees it."""

    ledger: Ledger

    def begin_again(self, pid: int, n: int) -> None:
        """Start the effect of an open call from its recorded arguments."""
        ...


def recover_calls(k: Core, process: Process, waited: Container[tuple[int, int]]) -> None:
    """Let the open calls of `process` go on. `waited` names those that waited for a person."""
    for n, call in list(process.open.items()):
        if call.reserved is None or (process.pid, n) in waited:
            k.begin_again(process.pid, n)
            continue
        lost = charge(process.pid, n, call.reserved, 0, "lost")
        if not call.pieces:
            k.ledger.commit((lost,), {})  # the reaction to it begins the call again
            continue
        value = msgspec.msgpack.encode(interrupted(call.pieces, "lost"))
        result = k.ledger.digest(value)
        k.ledger.commit((lost, ev.CallClosed(process.pid, n, "EMODEL", result, process.tail)), {result: value})
