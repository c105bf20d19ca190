"""Calls that wait for another process: for the end of a child, for a reply, for a message."""

from __future__ import annotations

from prytany.abi.ids import Pid, format_pid
from prytany.ipc.mailbox import Message
from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import RECEIVES, OpenCall, Process
from prytany.scheduling.words import span


def child(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Its child has not ended."""
    if call.call != "process_wait":
        return None
    return Cause("child", f"the end of {named(look, call.subject)}", leads=(call.subject,))


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
    return Cause("message", f"a message, which nobody has sent it{_until(look, call)}", help=(f"send {name} TYPE",))


def _until(look: Look, call: OpenCall) -> str:
    return f", for {span(call.subject - look.now_ns)} at most" if call.subject > 0 else ""
