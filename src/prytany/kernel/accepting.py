"""Messages are checked where they are sent: a body that its receiver does not take is nobody's dead letter.

What is taken is what the operator's fleet file says, or else what the program's text does. Both are content: they are
read once, and what follows from them is kept by their digests.
"""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi.errors import Einval, Eio
from prytany.abi.ids import Pid, format_pid
from prytany.abi.program import unpack_program
from prytany.abi.schema import mismatch
from prytany.kernel.declared import Forms, declared_forms
from prytany.kernel.outcome import Context
from prytany.process.process import Process

KEPT_MAX = 1_024
SHOWN_CHARS_MAX = 500
_kept: dict[tuple[bytes, str], Forms | None] = {}


def check_accepted(k: Context, receiver: Process, kind: str, body: Any, call: str) -> None:
    """Raise Einval for a message that `receiver` says it does not take. Costs two looks where it says nothing."""
    forms = _forms(k, receiver)
    if forms is None:
        return
    schema = forms.get(kind)
    if schema is None:
        takes = ", ".join(sorted(forms)) or "nothing"
        raise Einval(f"{_name(receiver)} takes no {kind!r}; it takes {takes}"[:SHOWN_CHARS_MAX], call=call)
    if wrong := mismatch(schema, body):
        if wrong.startswith("the arguments"):
            wrong = "the body" + wrong.removeprefix("the arguments")
        raise Einval(f"{kind!r} of {_name(receiver)}: {wrong}"[:SHOWN_CHARS_MAX], call=call)


def _name(p: Process) -> str:
    return f"process {format_pid(Pid(p.pid))} ({p.name})"


def _forms(k: Context, p: Process) -> Forms | None:
    if p.pid in k.fleets.members and (agent := k.fleets.agent_of(p.pid)) is not None and agent.accepts:
        key = agent.accepts, ""
    elif not (p.source and p.program):  # a group has no program
        return None
    else:
        key = p.source, p.program
    try:
        return _kept[key]
    except KeyError:
        pass
    if len(_kept) >= KEPT_MAX:
        del _kept[next(iter(_kept))]
    try:
        found = _kept[key] = _read(k, *key)
    except Eio:
        return None  # it was forgotten: the program itself refuses what it does not take
    return found


def _read(k: Context, digest: bytes, program: str) -> Forms | None:
    content = k.content(digest)
    if program:
        try:
            return declared_forms(unpack_program(content).main, program.rpartition(":")[2])
        except Einval:
            return None
    forms: Forms = msgspec.msgpack.decode(content)
    return forms
