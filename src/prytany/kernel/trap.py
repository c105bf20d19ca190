"""The trap: from a frame to entries. Decode, gate, handler, commit.

A call's way to its answer is the same whatever the call: denied, refused, done or opened, it becomes one entry, and
its answer leaves when that is durable.
"""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, KernelError
from prytany.abi.syscalls import SYSCALLS, arguments_type
from prytany.kernel.gate import deny
from prytany.kernel.handlers import HANDLERS
from prytany.kernel.ledger import Ledger
from prytany.kernel.live import Live
from prytany.kernel.outcome import Context, Done, Ended, Opened
from prytany.process.process import Process

_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    call.name: msgspec.msgpack.Decoder(arguments_type(call)) for call in SYSCALLS
}
FREES = frozenset({"call_cancel", "process_exit"})
"""Calls that end others: they are let through however many are in flight."""
_pack = msgspec.msgpack.encode


def decode_arguments(call: str, raw: bytes) -> Any:
    """The arguments of `call`; raises Einval when they do not fit the table."""
    try:
        return _DECODERS[call].decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Einval(f"the arguments do not fit: {error}", call=call) from None


class Trap:
    """Turns calls into entries."""

    def __init__(self, ledger: Ledger, context: Context) -> None:
        self._ledger = ledger
        self._context = context

    def call(self, live: Live, n: int, name: str, raw: bytes) -> None:
        """One live call."""
        ledger = self._ledger
        process = ledger.table.get(live.pid)
        if process is None or not process.alive:
            return  # it has ended, and its worker does not know yet
        errno = deny(process, name)
        if errno is not None:
            self._deny(live, process, n, name, errno)
            return
        outcome: Done | Opened | Ended
        argument = ledger.digest(raw)
        contents = {argument: raw}
        try:
            if len(process.open) >= limits.CALLS_IN_FLIGHT_MAX and name not in FREES:
                raise Eagain(f"{limits.CALLS_IN_FLIGHT_MAX} calls are in flight", call=name)
            outcome = HANDLERS[name](self._context, process, n, decode_arguments(name, raw))
        except KernelError as error:
            value = _pack([error.message, error.detail])
            result = ledger.digest(value)
            contents[result] = value
            done = ev.CallDone(live.pid, n, name, argument, error.errno, result, process.tail)
            ledger.commit([done], contents)
            return
        if isinstance(outcome, Opened):
            idle = live.idle_after(n, process)
            opened = ev.CallOpened(live.pid, n, name, argument, process.tail, outcome.subject, idle)
            ledger.commit((opened, *outcome.after), contents)
            return
        if isinstance(outcome, Ended):
            ledger.commit(outcome.events, {ledger.digest(content): content for content in outcome.contents})
            return
        for content in outcome.contents:
            contents[ledger.digest(content)] = content
        result = b""
        if outcome.result is not None:
            value = _pack(outcome.result)
            result = ledger.digest(value)
            contents[result] = value
        done = ev.CallDone(live.pid, n, name, argument, "", result, process.tail)
        ledger.commit((*outcome.before, done, *outcome.after), contents, outcome.shared)

    def _deny(self, live: Live, process: Process, n: int, name: str, errno: str) -> None:
        # The name is the worker's own words: what is not in the table is recorded under one name, so that made-up names
        # cannot fill the journal.
        known = name if name in _DECODERS else "?"
        if f"{known} {errno}" not in process.denied:
            self._ledger.commit([ev.CallsDenied(live.pid, known, errno, [n], process.tail)], {})
            return
        self._ledger.denials.add(live.pid, n, known, errno)
