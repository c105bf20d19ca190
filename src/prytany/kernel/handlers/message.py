"""Messages: who may send to whom, who is handed what, and how an activation ends."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Edeadlk, Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import NIL, pack, pack_error
from prytany.ipc.mailbox import Message
from prytany.kernel.handlers.receiving import Decided, check_type, deadline_ns, hand, taker
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

NOTHING: Decided = ((), ())
_ENVELOPE_BYTES = 1_024
"""What a message's number, sender and type add to its body, at most."""


def sys_message_send(k: Context, p: Process, n: int, a: Any) -> Done:
    """It leaves at once; whoever waits for it is handed it in the same entry."""
    events, contents, number = _send(k, p, a, 0, "message_send")
    return Done(number, before=events, contents=contents, spare=True)


def sys_message_call(k: Context, p: Process, n: int, a: Any) -> Opened:
    """A send whose sender waits."""
    if a.pid == p.pid:
        raise Edeadlk("a process that waits for its own reply waits for ever", call="message_call")
    events, contents, _ = _send(k, p, a, n, "message_call")
    return Opened(deadline_ns(k, a.timeout_ms, "message_call"), events, contents)


def sys_message_reply(k: Context, p: Process, n: int, a: Any) -> Done:
    """An answer before the message is done."""
    events, contents = _reply(k, p, _in_hand(k, p, a.message, "message_reply"), "", _sized(a.body, "message_reply"))
    return Done(bool(events), before=events, contents=contents)


def sys_message_done(k: Context, p: Process, n: int, a: Any) -> Done:
    """Reply, state and the end of the activation are one entry: a crash leaves all of it or nothing."""
    if a.state is not None:
        if p.open:
            raise Ebusy("a snapshot cannot hold the calls that are in flight", call="message_done")
        check_state(k, p, a.state, "message_done")
    events: list[ev.Event] = []
    contents: list[bytes] = []
    if a.message:
        message = _in_hand(k, p, a.message, "message_done")
        value = pack_error(a.reject[:_ENVELOPE_BYTES]) if a.reject else _sized(a.reply, "message_done")
        replied, values = _reply(k, p, message, "EINVAL" if a.reject else "", value)
        events += replied
        contents += values
        if a.reject and not message.call:
            events.append(ev.MessageDead(p.pid, a.message, "rejected"))
    after: list[ev.Event] = [ev.MessageDone(p.pid, a.message, n, k.digest(a.state) if a.state is not None else b"")]
    if a.state is not None:
        contents.append(a.state)
        if p.previous and p.incidents.get(0) == "upgrade":
            after.append(ev.IncidentClosed(p.pid, "upgrade"))  # the version that is there now took the state over
        if p.pending:
            after.append(ev.ProcessUpgraded(p.pid, p.pending, p.tail, p.pending_program))
    return Done(None, before=tuple(events), after=tuple(after), contents=tuple(contents), spare=True)


def check_state(k: Context, p: Process, state: bytes, call: str) -> None:
    """Raise Einval for a state that its process could not begin from: it goes into one frame with its arguments."""
    size_bytes = len(state)
    if size_bytes > limits.RESULT_BYTES_MAX:
        raise Einval(f"a state has at most {limits.RESULT_BYTES_MAX} bytes", call=call)
    if size_bytes + limits.ARGUMENT_BYTES_MAX > limits.START_BYTES_MAX:
        size_bytes += len(k.content(p.argument, p.spawned_seq))
        if size_bytes > limits.START_BYTES_MAX:
            most = f"{limits.START_BYTES_MAX} bytes are the most"
            raise Einval(f"the state and the program's arguments have {size_bytes} bytes, and {most}", call=call)


def _send(k: Context, p: Process, a: Any, n: int, call: str) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...], int]:
    receiver = receiver_of(k, a.pid, call)
    if receiver.run != p.run:
        raise Eperm(f"process {format_pid(Pid(a.pid))} is of another run", call=call)
    return send_events(k, p.pid, receiver, a.type, a.body, n, call)


def receiver_of(k: Context, pid: int, call: str = "") -> Process:
    """Who is sent to; raises Esrch when there is nobody alive of that pid."""
    receiver = k.table.get(pid)
    if receiver is None:
        raise Esrch(f"there is no process {format_pid(Pid(pid)) if pid > 0 else pid}", call=call)
    if not receiver.alive:
        raise Esrch(f"process {format_pid(Pid(pid))} has ended", call=call)
    return receiver


def send_events(
    k: Context, sender: int, receiver: Process, kind: str, body: Any, n: int = 0, call: str = ""
) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...], int]:
    """A message into the mailbox of `receiver`, and to it where it waits: events, contents, and its number.

    Raises:
        Eperm: the receiver has not pledged `ipc`.
        Einval: type or body have a wrong size.
        Eagain: its mailbox is full.
    """
    name = format_pid(Pid(receiver.pid))
    if "ipc" not in receiver.pledge:
        raise Eperm(f"process {name} has not pledged 'ipc', and receives nothing", call=call)
    check_type(kind, call)
    box = k.post.box(receiver.pid)
    if box.full:
        raise Eagain(f"the mailbox of process {name} is full", call=call)
    number = k.post.next_number
    content = pack({"message": number, "sender": sender, "type": kind, "body": body, "attempt": 1, "awaited": bool(n)})
    if len(content) > limits.MESSAGE_BYTES_MAX + _ENVELOPE_BYTES:
        raise Einval(f"a message has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    digest = k.digest(content)
    events: list[ev.Event] = [ev.MessageSent(number, sender, receiver.pid, kind, digest, n)]
    # Where something is about to be handed out, this comes behind it (`topic_fills`).
    if receiver.pid not in k.state.topics.handing and (by := taker(k, receiver, kind, sender, body)):
        events += hand(receiver, by, number, digest)
    return tuple(events), (content,), number


def _in_hand(k: Context, p: Process, number: int, call: str) -> Message:
    message = k.post.box(p.pid).in_hand.get(number)
    if message is None:
        raise Einval(f"message {number} is not in hand", call=call)
    return message


def _sized(body: Any, call: str) -> bytes:
    value = pack(body)
    if len(value) > limits.MESSAGE_BYTES_MAX:
        raise Einval(f"a reply has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    return value


def _reply(k: Context, p: Process, message: Message, errno: str, value: bytes) -> Decided:
    """Close the sender's call, if it still waits: that of the entry which sent the message, and no later one. What
    there is to say to an operator is recorded, for whoever follows."""
    if message.sender < 0:
        return (
            ((ev.MessageReplied(p.pid, message.number, errno, k.digest(value)),), (value,)) if value != NIL else NOTHING
        )
    sender = k.table.get(message.sender) if message.call else None
    call = sender.open.get(message.call) if sender is not None else None
    if sender is None or call is None or call.seq != message.seq or call.call != "message_call":
        return NOTHING
    return (ev.CallClosed(sender.pid, message.call, errno, k.digest(value), sender.tail),), (value,)


def failed_messages(k: Context, p: Process) -> Decided:
    """What was in hand when an incarnation failed: tried too often, it is put aside, and its sender told."""
    events: list[ev.Event] = []
    contents: list[bytes] = []
    for message in k.post.box(p.pid).in_hand.values():
        if message.attempts >= limits.MESSAGE_ATTEMPTS_MAX:
            value = pack_error(f"process {p.pid} failed at the message {message.attempts} times", {"cause": "attempts"})
            replied, values = _reply(k, p, message, "EPIPE", value)
            events += [ev.MessageDead(p.pid, message.number, "attempts"), *replied]
            contents += values
    return tuple(events), tuple(contents)


def abandoned_messages(k: Context, p: Process) -> Decided:
    """The process ends: whoever waits for a reply of it is told."""
    box = k.post.box(p.pid)
    value = pack_error(f"process {p.pid} ended before it replied", {"cause": "ended"})
    events: list[ev.Event] = []
    for message in (*box.in_hand.values(), *box.waiting.values()):
        if message.sender != p.pid:
            events += _reply(k, p, message, "EPIPE", value)[0]
    return tuple(events), (value,) if events else ()
