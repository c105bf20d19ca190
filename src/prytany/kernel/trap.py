"""The trap: from a frame to entries. Decode, gate, handler, commit.

A call's way to its answer is the same whatever the call: denied, refused, done or opened, it becomes one entry, and
its answer leaves when that is durable.
"""

from __future__ import annotations

from typing import Any, Self

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, KernelError
from prytany.abi.syscalls import SYSCALLS, arguments_type
from prytany.abi.values import pack, pack_error
from prytany.abi.wire import UNREADABLE
from prytany.kernel.gate import UNKNOWN, deny
from prytany.kernel.handlers import HANDLERS
from prytany.kernel.handlers.process import exit_events
from prytany.kernel.ledger import Ledger
from prytany.kernel.live import Live
from prytany.kernel.outcome import Context, Denied, Done, Ended, Opened
from prytany.kernel.quotas import Quotas
from prytany.process.process import Process

_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    call.name: msgspec.msgpack.Decoder(arguments_type(call)) for call in SYSCALLS
}
FREES = frozenset({"call_cancel", "process_exit"})
"""Calls that end others: they are let through however many are in flight."""


def decode_arguments(call: str, raw: bytes) -> Any:
    """The arguments of `call`; raises Einval when they do not fit the table."""
    try:
        return _DECODERS[call].decode(raw)
    except UNREADABLE as error:
        raise Einval(f"the arguments do not fit: {error}", call=call) from None


class Trap:
    """Turns calls into entries."""

    def __init__(self, ledger: Ledger, context: Context, quotas: Quotas) -> None:
        self._ledger = ledger
        self._context = context
        self._quotas = quotas

    @classmethod
    def of(cls, other: Trap) -> Self:
        """One that takes over from `other`."""
        return cls(other._ledger, other._context, other._quotas)

    def call(self, live: Live, n: int, name: str, raw: bytes) -> None:
        """One live call."""
        ledger = self._ledger
        process = ledger.table.get(live.pid)
        if process is None or process.epoch != live.epoch or not process.alive:
            return  # it has ended or begun again, and its worker does not know yet
        errno = deny(process, name)
        if errno is not None:
            self._deny(live, process, n, name, errno)
            return
        quotas, size_bytes, cause = self._quotas, len(raw), ""
        if (
            process.journal_bytes + size_bytes > quotas.process_bytes
            or ledger.table.journal_bytes + size_bytes > quotas.tenant_bytes
            or process.usage.calls - process.history_from >= quotas.history_calls_warn
        ):
            cause = self._bounded(process, size_bytes)
            if cause and name != "process_exit":
                return self._deny(live, process, n, name, "EDQUOT", cause)
        outcome: Done | Opened | Ended
        argument = ledger.digest(raw)
        contents = {argument: raw}
        try:
            if len(raw) > limits.ARGUMENT_BYTES_MAX:
                contents.clear()
                raise Einval(f"the arguments have more than {limits.ARGUMENT_BYTES_MAX} bytes", call=name)
            if len(process.open) >= limits.CALLS_IN_FLIGHT_MAX and name not in FREES:
                raise Eagain(f"{limits.CALLS_IN_FLIGHT_MAX} calls are in flight", call=name)
            args = decode_arguments(name, raw)
            outcome = HANDLERS[name](self._context, process, n, args)
        except Denied:
            self._deny(live, process, n, name, "EPERM")
            return
        except (KernelError, RecursionError) as raised:
            if cause:
                self._deny(live, process, n, name, "EDQUOT", cause)
                return
            # What could just be read is packed with a level more around it, on a deeper stack.
            error = raised if isinstance(raised, KernelError) else Einval("nested too deeply", call=name)
            value = pack_error(error.message, error.detail)
            result = ledger.digest(value)
            contents[result] = value
            done = ev.CallDone(live.pid, n, name, argument, error.errno, result, process.tail, argument not in contents)
            ledger.commit([done], contents)
            return
        if isinstance(outcome, Done):
            self._done(process, n, name, argument, contents, outcome)
            return
        if isinstance(outcome, Ended):
            contents = {ledger.digest(content): content for content in outcome.contents}
            ledger.commit(outcome.events, contents, payer=process.pid, reserve=True)
            return
        opened = ev.CallOpened(
            live.pid, n, name, argument, process.tail, outcome.subject, live.idle_after(n, process), outcome.spare
        )
        self._opened(opened, contents, outcome, args)

    def _opened(self, opened: ev.CallOpened, contents: dict[bytes, bytes], outcome: Opened, args: Any) -> None:
        ledger = self._ledger
        if outcome.spare:
            contents.clear()
        for content in outcome.contents:
            contents[ledger.digest(content)] = content
        work = args if outcome.work is None else outcome.work
        seq = ledger.commit((opened, *outcome.after), contents, work=work)
        if outcome.turn is not None:
            self._context.model_sparing.made(outcome.turn, seq)

    def _done(
        self, process: Process, n: int, name: str, argument: bytes, contents: dict[bytes, bytes], outcome: Done
    ) -> None:
        ledger = self._ledger
        if outcome.spare:
            contents.clear()
        for content in outcome.contents:
            contents[ledger.digest(content)] = content
        result = b""
        if outcome.result is not None:
            value = pack(outcome.result)
            result = ledger.digest(value)
            contents[result] = value
        done = ev.CallDone(process.pid, n, name, argument, "", result, process.tail, outcome.spare)
        ledger.commit((*outcome.before, done, *outcome.after), contents, outcome.shared, payer=process.pid)

    def _bounded(self, process: Process, size_bytes: int) -> str:
        """Which bound refuses the call, or ""; a history that grows long is warned of once."""
        cause = self._quotas.beyond(process, self._ledger.table, size_bytes)
        if not cause and process.history >= self._quotas.history_calls_warn and "history" not in process.warned:
            self._ledger.commit([ev.ProcessWarned(process.pid, "history", process.history)], {})
        return cause

    def _deny(self, live: Live, process: Process, n: int, name: str, errno: str, cause: str = "") -> None:
        if process.usage.denials - process.refused_from >= self._quotas.refusals_max:
            reason = f"it went on after {self._quotas.refusals_max} of its calls were denied"
            events, left = exit_events(self._context, process, 1, 0, reason, b"", failed=True)
            self._ledger.commit(
                events, {self._ledger.digest(content): content for content in left}, payer=live.pid, reserve=True
            )
            return
        known = name if name in _DECODERS else UNKNOWN
        if f"{known} {errno}" not in process.denied:
            self._ledger.commit([ev.CallsDenied(live.pid, known, errno, [n], process.tail, cause=cause)], {})
            return
        self._ledger.denials.add(live.pid, n, known, errno, cause)
