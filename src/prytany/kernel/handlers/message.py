"""Messages: who may send to whom, who is handed what, and how an activation ends."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Edeadlk, Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.values import NIL, pack, pack_error
from prytany.ipc.mailbox import Mailbox, Message
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import Process

Decided = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]
"""Events, and the contents that they name."""
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
    return Opened(_deadline_ns(k, a.timeout_ms, "message_call"), events, contents)


def sys_message_receive(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """The oldest message, or the intent to take the next."""
    box = k.post.box(p.pid)
    if _receives(p, box):
        raise Ebusy(f"call {box.awaiting} waits for a message already", call="message_receive")
    deadline_ns = _deadline_ns(k, a.timeout_ms, "message_receive")
    if not box.waiting:
        return Opened(deadline_ns, (ev.MessageAwaited(p.pid, n),))
    message = next(iter(box.waiting.values()))
    content = _content(k, message)
    return Done(msgspec.Raw(content), before=(ev.MessageTaken(p.pid, message.number, n),))


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


def _deadline_ns(k: Context, timeout_ms: int, call: str) -> int:
    if not 0 <= timeout_ms <= limits.TIMEOUT_MS_MAX:
        raise Einval(f"a timeout is from 0 to {limits.TIMEOUT_MS_MAX} ms", call=call)
    return k.now_ns() + timeout_ms * 1_000_000 if timeout_ms else 0


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
    k: Context,
    sender: int,
    receiver: Process,
    kind: str,
    body: Any,
    n: int = 0,
    call: str = "",
    *,
    always: bool = False,
) -> tuple[tuple[ev.Event, ...], tuple[bytes, ...], int]:
    """A message into the mailbox of `receiver`, and to it where it waits: events, contents, and its number. What it
    asked to be told of comes `always`.

    Raises:
        Eperm: the receiver has not pledged `ipc`.
        Einval: type or body have a wrong size.
        Eagain: its mailbox is full.
    """
    name = format_pid(Pid(receiver.pid))
    if "ipc" not in receiver.pledge:
        raise Eperm(f"process {name} has not pledged 'ipc', and receives nothing", call=call)
    if not kind or len(kind.encode("utf-8", "surrogatepass")) > limits.NAME_BYTES_MAX:
        raise Einval(f"a message's type has 1 to {limits.NAME_BYTES_MAX} bytes", call=call)
    box = k.post.box(receiver.pid)
    if box.full and not always:
        raise Eagain(f"the mailbox of process {name} is full", call=call)
    number = k.post.next_number
    content = pack({"message": number, "sender": sender, "type": kind, "body": body, "attempt": 1, "awaited": bool(n)})
    if len(content) > limits.MESSAGE_BYTES_MAX + _ENVELOPE_BYTES:
        raise Einval(f"a message has at most {limits.MESSAGE_BYTES_MAX} bytes", call=call)
    digest = k.digest(content)
    events: list[ev.Event] = [ev.MessageSent(number, sender, receiver.pid, kind, digest, n)]
    if _receives(receiver, box):
        events += _hand(receiver, box.awaiting, number, digest)
    return tuple(events), (content,), number


def _receives(p: Process, box: Mailbox) -> bool:
    """Whether `p` waits for a message now."""
    call = p.open.get(box.awaiting)
    return call is not None and call.call == "message_receive"


def _hand(receiver: Process, n: int, number: int, digest: bytes) -> tuple[ev.Event, ev.Event]:
    return ev.MessageTaken(receiver.pid, number, n), ev.CallClosed(receiver.pid, n, "", digest, receiver.tail)


def _content(k: Context, message: Message) -> bytes:
    """What the receiver is handed: what was sent, with the attempt that this is."""
    content = k.content(message.body, message.seq)
    if not message.attempts:
        return content
    return pack({**msgspec.msgpack.decode(content), "attempt": message.attempts + 1})


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


def return_cancelled(k: Context, p: Process, n: int) -> Decided:
    """A receive was cancelled after it had taken a message, and before its caller saw it: nobody has it, so it goes
    back, and to whoever waits for one by now."""
    box = k.post.box(p.pid)
    message = next((m for m in box.in_hand.values() if m.taken_by == n), None)
    if message is None:
        return (), ()
    returned = ev.MessageReturned(p.pid, message.number)
    if not _receives(p, box):
        return (returned,), ()
    message = msgspec.structs.replace(message, attempts=message.attempts - 1)
    content = _content(k, message)
    return (returned, *_hand(p, box.awaiting, message.number, k.digest(content))), (content,)


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
