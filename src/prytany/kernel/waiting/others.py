"""Calls that wait for another process: for the end of a child, for a reply, for a message."""

from __future__ import annotations

import shlex

from prytany.abi.ids import Pid, format_pid
from prytany.ipc.letter import Message, Wanted
from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import RECEIVES, OpenCall, Process
from prytany.scheduling.words import span

TYPES_SHOWN_MAX = 3


def child(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Its child has not ended."""
    if call.call != "process_wait":
        return None
    return Cause("child", f"the end of {named(look, call.subject)}", leads=(call.subject,))


def room(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """It waits for room in a full mailbox, also before a reply."""
    found = look.state.post.lines.senders.get(p.pid, {}).get(n)
    if found is None:
        return None
    receiver, number = found
    line, box = look.state.post.lines.of[receiver], look.state.post.box(receiver)
    place = list(line.held).index(number)
    before = f"; {place} others wait before it" if place else ""
    text = f"room in the mailbox of {named(look, receiver)}, where {box.messages} messages lie{before}"
    return Cause("room", text + _until(look, call), leads=(receiver,))


def reply(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """It asked another process, which has not replied. Looks through all mailboxes."""
    if call.call != "message_call":
        return None
    for receiver, box in look.state.post.boxes.items():
        for place, message in enumerate((*box.in_hand.values(), *box.waiting.values())):
            if (message.sender, message.call) == (p.pid, n):
                return _reply(look, receiver, message, place, call)
    return Cause("reply", f"a reply{_until(look, call)}")


def _reply(look: Look, receiver: int, message: Message, place: int, call: OpenCall) -> Cause:
    in_hand = message.number in look.state.post.box(receiver).in_hand
    how = (
        "which has the message in hand" if in_hand else f"before which {place} others lie" if place else "not taken yet"
    )
    text = f"the reply of {named(look, receiver)} to message {message.number}, {how}{_until(look, call)}"
    return Cause("reply", text, leads=(receiver,))


def message(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Nobody has sent it anything."""
    if call.call not in RECEIVES:
        return None
    name, session = format_pid(Pid(p.pid)), look.state.sessions.sessions.get(p.pid)
    if session is not None and session.open:
        text = f"what {session.user} says in its session{_until(look, call)}"
        return Cause("person", text, help=(f"attach {name}",))
    wanted = look.state.post.choosy.get(p.pid, {}).get(n)
    asked, lies = _asked(look, wanted), len(look.state.post.box(p.pid).waiting)
    others = f"; {lies} others lie in its mailbox" if lies else ""
    text = f"a message{asked}, which nobody has sent it{_until(look, call)}{others}"
    kind = wanted.kinds[0] if wanted is not None and wanted.kinds else "TYPE"
    return Cause("message", text, help=(f"send {name} {shlex.quote(kind)}",))


def _asked(look: Look, wanted: Wanted | None) -> str:
    """What such a message has to be."""
    if wanted is None:
        return ""
    asked = f" of type {' or '.join(wanted.kinds[:TYPES_SHOWN_MAX])}" if wanted.kinds else ""
    asked += " or others" if len(wanted.kinds) > TYPES_SHOWN_MAX else ""
    asked += f" from {named(look, wanted.sender)}" if wanted.sender else ""
    return asked + (f" with a certain {' and '.join(wanted.fields)}" if wanted.fields else "")


def _until(look: Look, call: OpenCall) -> str:
    return f", for {span(call.subject - look.now_ns)} at most" if call.subject > 0 else ""
