"""Settling: what a person decides where the kernel cannot go on by itself, as the events that it leads to.

An incident is `(pid, kind, n)`. Those of a call (`bad_key`, `no_funds`, `not_there`: a model call that waits; `doubt`:
an effect that may have happened before a crash) are settled by doing it again, by skipping it, or by giving its
result. That of a process (n 0; `replay`: its program asks for something else than it did; `record`: what brings it
back is missing or damaged; `worker`: none can be started; `fault`: the kernel failed at it) by going on or by ending
it. That of a call which nobody waits for any more (`abandoned`, n below 0) by skipping it: whoever asked has ended, or
gone on without it.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Enoent
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import NIL, pack, pack_error
from prytany.kernel.effects.model import pack_vectors
from prytany.kernel.handlers.context import answer_in
from prytany.kernel.handlers.process import exit_events
from prytany.kernel.outcome import Context
from prytany.ports.model import ModelFailure
from prytany.process.incidents import ABANDONED
from prytany.process.process import OpenCall, Process
from prytany.process.table import Table

TRIED_AGAIN = frozenset({"bad_key", "no_funds", "not_there"})
"""Kinds that a kernel tries again when it starts: they come up again if they must."""
CHOICES = ("retry", "skip", "give")
MODEL_CALLS = frozenset({"model_chat"})
VALUE_DEPTH_MAX = 64

Settled = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A model's answer as a person gives it: the text is enough."""

    text: str
    finish: str = "stop"
    tool_calls: list[dict[str, Any]] = []
    usage: dict[str, Any] = msgspec.field(
        default_factory=lambda: {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd_micros": None}
    )
    model: str = "operator"


def settle_events(k: Context, p: Process, n: int, choice: str, value: object, uid: int, *, idle: bool) -> Settled:
    """What settling leads to, as one entry's events, and the contents that they name.

    Args:
        k: what may be looked at.
        p: the process that the incident is about.
        n: its call, or 0.
        choice: `retry`, `skip` or `give`.
        value: the result, for `give` alone.
        uid: the operator's.
        idle: nothing runs here: what is done again has to wait for the next kernel.

    Raises:
        Enoent: nothing of that number needs a person, or no longer.
        Einval: there is no such choice, or the value cannot be a result.
    """
    if choice not in CHOICES:
        raise Einval(f"there is no choice {choice!r}; there are {', '.join(CHOICES)}")
    if choice != "give" and value is not None:
        raise Einval(f"{choice} takes no value")
    kind = p.incidents.get(n)
    if kind is None:
        which = f"call {n} of process" if n else "process"
        raise Enoent(f"nothing to settle: {which} {format_pid(Pid(p.pid))} needs no person")
    head = (ev.OperatorCommanded(uid, f"settle {choice}", p.pid, n), ev.IncidentClosed(p.pid, kind, n, uid))
    if n == 0:
        events, contents = _settle_process(k, p, kind, choice)
    else:
        events, contents = _settle_call(k, p, n, kind, choice, value, uid, idle=idle)
    return (*head, *events), contents


def settle_abandoned(table: Table, pid: int, n: int, choice: str, uid: int) -> tuple[ev.Event, ...]:
    """What settling a call that nobody waits for leads to: it is known that a person has seen to it, and no more.

    Args:
        table: as it is.
        pid: the process that made the call; it may have left the table.
        n: minus the entry of the call's intent.
        choice: `skip`.
        uid: the operator's.

    Raises:
        Enoent: there is no such call, or no longer.
        Einval: another choice.
    """
    abandoned = table.abandoned.get(-n)
    if abandoned is None or abandoned.pid != pid:
        raise Enoent(f"nothing to settle: process {pid} abandoned no call that entry {-n} opened, or it was seen to")
    if choice != "skip":
        raise Einval("nobody waits for this call any more, so there is only skip: it was seen to")
    return ev.OperatorCommanded(uid, "settle skip", pid, n), ev.IncidentClosed(pid, ABANDONED, n, uid)


def _settle_process(k: Context, p: Process, kind: str, choice: str) -> Settled:
    if choice == "give":
        raise Einval(f"{kind} is about the process and not about a call: there is no result to give")
    if kind == "upgrade":
        return (), ()  # seen: it goes on with the old program, and `upgrade` tries again
    if choice == "retry":
        return (ev.ProcessContinued(p.pid),), ()
    return exit_events(k, p, 1, 0, f"ended by the operator after {p.reason or kind}", b"")


def _settle_call(
    k: Context, p: Process, n: int, kind: str, choice: str, value: object, uid: int, *, idle: bool
) -> Settled:
    call = p.open[n]
    if choice == "retry":
        return (ev.CallSettled(p.pid, n, choice, uid, idle and call.doubt),), ()
    if choice == "skip":
        errno = "EINDOUBT" if kind == "doubt" else "EMODEL"
        packed = pack_error(f"the operator skipped {call.call} ({kind})", {"cause": "skipped", "incident": kind})
    else:
        errno, packed = "", given(call, value)
    appended: tuple[ev.Event, ...] = ()
    if not errno and call.call in MODEL_CALLS:
        answer, appended = answer_in(k, p, n, msgspec.msgpack.decode(packed), ev.Source("operator", str(uid)))
        packed = pack(answer)
    content = b"" if packed == NIL else packed
    closed = ev.CallClosed(p.pid, n, errno, k.digest(content), p.tail)
    return (ev.CallSettled(p.pid, n, choice, uid), *appended, closed), (content,) if content else ()


def given(call: OpenCall, value: object) -> bytes:
    """The packed result of `call` that a person gave; raises Einval for what cannot be one."""
    _check(value, VALUE_DEPTH_MAX)
    if call.call in MODEL_CALLS:
        try:
            answer = Answer(value) if isinstance(value, str) else msgspec.convert(value, Answer)
        except msgspec.ValidationError as error:
            raise Einval(f"a model's answer is a text, or an object with text and finish: {error}") from None
        value = msgspec.to_builtins(answer)
    elif call.call == "model_embed":
        try:
            vectors = msgspec.convert(value, list[list[float]])
            value = pack_vectors(vectors, len(vectors))
        except (msgspec.ValidationError, ModelFailure) as error:
            raise Einval(f"vectors are lists of numbers of one length: {error}") from None
    packed = pack(value)
    if len(packed) > limits.RESULT_BYTES_MAX:
        raise Einval(f"the value has {len(packed)} bytes, and {limits.RESULT_BYTES_MAX} is the most")
    return packed


def _check(value: Any, depth: int) -> None:
    """Raise Einval for what JSON, and so a program in any language, does not have."""
    if depth == 0:
        raise Einval(f"the value is nested more than {VALUE_DEPTH_MAX} deep")
    match value:
        case None | bool():
            return
        case int():
            fits = -(1 << 63) <= value < 1 << 64
        case float():
            fits = math.isfinite(value)
        case str():
            fits = not any("\ud800" <= c <= "\udfff" for c in value)
        case list():
            fits = True
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                _check(item, depth - 1)
        case dict():
            fits = True
            for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
                if not isinstance(key, str):
                    raise Einval("the value has a key that is not a text")
                _check(key, depth)
                _check(item, depth - 1)
        case _:
            fits = False
    if not fits:
        raise Einval("the value holds what JSON cannot: a number without bounds, bytes, or half a character")
