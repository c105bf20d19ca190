"""Messages: who may send to whom, who is handed what, and how an activation ends."""

from __future__ import annotations

from typing import Any, NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Edeadlk, Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import NIL, pack, pack_error
from prytany.ipc.letter import Message
from prytany.kernel.accepting import check_accepted
from prytany.kernel.addresses import receiver_of
from prytany.kernel.bounds import attempts_most, mailbox_room
from prytany.kernel.handlers.attachment import check_given
from prytany.kernel.handlers.deadline import deadline_ns
from prytany.kernel.handlers.receiving import NOTHING, Decided, check_type, hand, receive, taker
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

_ENVELOPE_BYTES = 1_024
"""What a message's number, sender and type add to its body, at most."""


def sys_message_send(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """It leaves at once; whoever waits for it is handed it in the same entry. Where there is no room, its sender says
    whether it waits."""
    try:
        receiver = receiver_of(k, p, a.to, "message_send")
    except Esrch:
        if (came := messaged(k, p, a.to, a.type, a.body, 0)) is None:
            raise
        return Done(came[0].number, before=came[:1], contents=came[1:], spare=True)
    wait_ms = a.wait_ms
    if wait_ms and not -1 <= wait_ms <= limits.TIMEOUT_MS_MAX:
        raise Einval(f"a wait for room is from -1 to {limits.TIMEOUT_MS_MAX} ms", call="message_send")
    sent = send_events(k, p.pid, receiver, a.type, a.body, 0, "message_send", n if wait_ms else 0)
    events = (*sent.events, *_given(k, p, receiver, a.attachments, "message_send")) if a.attachments else sent.events
    if type(sent.events[0]) is ev.MessageHeld:
        return Opened(deadline_ns(k, max(wait_ms, 0), "message_send"), events, sent.contents)
    return Done(sent.number, before=events, contents=sent.contents, spare=True)


def sys_message_call(k: Context, p: Process, n: int, a: Any) -> Opened:
    """A send whose sender waits."""
    try:
        receiver = receiver_of(k, p, a.to, "message_call")
    except Esrch:
        if (came := messaged(k, p, a.to, a.type, a.body, n)) is None:
            raise
        return Opened(deadline_ns(k, a.timeout_ms, "message_call"), came[:1], came[1:], spare=True)
    if receiver is p:
        raise Edeadlk("a process that waits for its own reply waits for ever", call="message_call")
    sent = send_events(k, p.pid, receiver, a.type, a.body, n, "message_call", n if a.wait else 0)
    events = (*sent.events, *_given(k, p, receiver, a.attachments, "message_call")) if a.attachments else sent.events
    return Opened(deadline_ns(k, a.timeout_ms, "message_call"), events, sent.contents, spare=True)


def _given(k: Context, p: Process, receiver: Process, numbers: list[int], call: str) -> tuple[ev.Event]:
    """What a message carries is the receiver's to read from here on."""
    return (ev.AttachmentsGiven(receiver.pid, check_given(k, p, receiver, numbers, call)),)


def sys_message_next(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """The end of an activation, and the next message behind it in one entry."""
    events, contents = NOTHING
    if a.message:
        message = _in_hand(k, p, a.message, "message_next")
        events, contents = _reply(k, p, message, "", _sized(a.reply, "message_next"))
        events = (*events, ev.MessageDone(p.pid, a.message, n))
    return receive(k, p, n, a, "message_next", (events, contents))


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
        given = (p.handed, p.handed_seq) if p.handed else (p.argument, p.spawned_seq)
        size_bytes += len(k.content(*given))
        if size_bytes > limits.START_BYTES_MAX:
            most = f"{limits.START_BYTES_MAX} bytes are the most"
            raise Einval(f"the state and the program's arguments have {size_bytes} bytes, and {most}", call=call)


def messaged(
    k: Context, p: Process, name: int | str, kind: str, body: Any, call: int
) -> tuple[ev.TriggerMessaged, bytes] | None:
    """What is recorded of a message to an address that nobody is called by, and that starts an agent; None where there
    is no such trigger. Raises Eagain where too much waits there."""
    member = k.fleets.members.get(p.pid)
    trigger = k.state.triggers.addressed(member.fleet, name) if member is not None and isinstance(name, str) else None
    if trigger is None:
        return None
    if trigger.full:
        raise Eagain(f"{limits.TRIGGER_QUEUE_MAX} messages wait at {name!r}", call="message_send")
    number = k.post.next_number
    content = pack({
        "message": number, "sender": p.pid, "type": kind, "body": body, "attempt": 1, "awaited": bool(call),
    })  # fmt: skip
    event = ev.TriggerMessaged(trigger.fleet, trigger.name, number, p.pid, kind, k.digest(content), call)
    return event, content


class Sent(NamedTuple):
    """A message that was let in, or waits for room: events, the contents that they name, and its number."""

    events: tuple[ev.Event, ...]
    contents: tuple[bytes, ...]
    number: int


def send_events(
    k: Context,
    sender: int,
    receiver: Process,
    kind: str,
    body: Any,
    n: int = 0,
    call: str = "",
    waits: int = 0,
    always: bool = False,
) -> Sent:
    """A message into the mailbox of `receiver`, and to it where it waits for such a one.

    Args:
        k: what is there.
        sender: a pid, or -1 - uid of an operator.
        receiver: a living process.
        kind: the message's type.
        body: plain data.
        n: the sender's call that is opened and waits for the reply; 0 where none does.
        call: the system call, for errors.
        waits: the sender's call that is opened and waits for room, where there is none; 0 where none does.
        always: it is let in where there is no room, too: the receiver asked to be told this.

    Raises:
        Eperm: the receiver has not pledged `ipc`.
        Einval: type or body have a wrong size, or are none that the receiver takes.
        Eagain: its mailbox is full, and the sender does not wait or too many do.
    """
    if "ipc" not in receiver.pledge:
        raise Eperm(f"process {_name(receiver)} has not pledged 'ipc', and receives nothing", call=call)
    check_type(kind, call)
    check_accepted(k, receiver, kind, body, call)
    number = k.post.next_number
    content = pack({"message": number, "sender": sender, "type": kind, "body": body, "attempt": 1, "awaited": bool(n)})
    if len(content) > limits.MESSAGE_BYTES_MAX + _ENVELOPE_BYTES:
        raise Einval(f"a message has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    digest = k.digest(content)
    # Where something is about to be handed out, this comes behind it (`topic_fills`).
    if receiver.pid not in k.state.topics.handing and (by := taker(k, receiver, kind, sender, body)):
        sent = ev.MessageSent(number, sender, receiver.pid, kind, digest, n)
        return Sent((sent, *hand(receiver, by, number, digest)), (content,), number)
    room = mailbox_room(k.fleets, receiver.pid)
    box = k.post.boxes.get(receiver.pid)
    if not always and ((box is not None and box.messages >= room) or not room):
        if not waits:
            raise Eagain(f"the mailbox of process {_name(receiver)} is full", call=call)
        line = k.post.lines.of.get(receiver.pid)
        if line is not None and len(line.held) >= limits.SENDERS_MAX:
            most = f"{limits.SENDERS_MAX} senders wait for room"
            raise Eagain(f"the mailbox of process {_name(receiver)} is full, and {most}", call=call)
        held = ev.MessageHeld(number, sender, receiver.pid, kind, digest, waits, bool(n), room)
        return Sent((held,), (content,), number)
    return Sent((ev.MessageSent(number, sender, receiver.pid, kind, digest, n),), (content,), number)


def _name(p: Process) -> str:
    return format_pid(Pid(p.pid))


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
            (
                (ev.MessageReplied(k.state.pools.members.get(p.pid, p.pid), message.number, errno, k.digest(value)),),
                (value,),
            )
            if value != NIL
            else NOTHING
        )
    sender = k.table.get(message.sender) if message.call else None
    call = sender.open.get(message.call) if sender is not None else None
    if sender is None or call is None or call.seq != message.seq or call.call != "message_call":
        return NOTHING
    return (ev.CallClosed(sender.pid, message.call, errno, k.digest(value), sender.tail),), (value,)


def poisons(k: Context, p: Process, *, last: bool = False) -> list[Message]:
    """The messages in hand that `p` fails at too often. With `last`, it may fail no more: then what it has failed at
    twice is one, so that it is not the process that ends for it."""
    most = attempts_most(k.fleets, p.pid)
    return [m for m in k.post.box(p.pid).in_hand.values() if m.attempts >= most or (last and m.attempts > 1)]


def failed_messages(k: Context, p: Process, *, last: bool = False) -> tuple[Decided, int]:
    """What was in hand when an incarnation failed: tried too often, it is put aside, and its sender told. Its failures
    were the message's then: how many of the process's are forgiven."""
    events: list[ev.Event] = []
    contents: list[bytes] = []
    found = poisons(k, p, last=last)
    for message in found:
        value = pack_error(f"process {p.pid} failed at the message {message.attempts} times", {"cause": "attempts"})
        replied, values = _reply(k, p, message, "EPIPE", value)
        events += [ev.MessageDead(p.pid, message.number, "attempts"), *replied]
        contents += values
    return (tuple(events), tuple(contents)), max((message.attempts for message in found), default=0)


def abandoned_messages(k: Context, p: Process) -> Decided:
    """The process ends: whoever waits for a reply of it is told."""
    box = k.post.box(p.pid)
    value = pack_error(f"process {p.pid} ended before it replied", {"cause": "ended"})
    events: list[ev.Event] = []
    for message in (*box.in_hand.values(), *box.waiting.values()):
        if message.sender != p.pid:
            events += _reply(k, p, message, "EPIPE", value)[0]
    return tuple(events), (value,) if events else ()
