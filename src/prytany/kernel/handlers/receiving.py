"""Who is handed a message: the oldest that a call asks for, and of the calls that wait the oldest that asks for it.

What a call asks of a body's fields is held against digests: it is recorded, and content is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Ebusy, Einval
from prytany.abi.values import pack
from prytany.ipc.letter import Message, Wanted
from prytany.kernel.handlers.deadline import deadline_ns
from prytany.kernel.outcome import Context, Done, Opened
from prytany.process.process import RECEIVES, Process

Decided = tuple[tuple[ev.Event, ...], tuple[bytes, ...]]
"""Events, and the contents that they name."""
SEEN_MAX = 1_024
NOTHING: Decided = ((), ())
_seen: dict[bytes, dict[Any, bytes]] = {}
"""Digests of fields, by the digest of the message that has them: what follows from content alone, and costs a look into
the journal. A box is looked through anew by each call that asks for fields."""


def sys_message_receive(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """The oldest message that is asked for, or the intent to take the next."""
    return receive(k, p, n, a, "message_receive")


def receive(k: Context, p: Process, n: int, a: Any, call: str, first: Decided = NOTHING) -> Done | Opened:
    """What a call gives that takes a message, behind what it does `first`."""
    box = k.post.box(p.pid)
    if len(box.in_hand) + len(p.open) >= limits.IN_HAND_MAX:
        _check_hand(p, len(box.in_hand) - bool(first[0]), call)
    if a.types or a.sender or a.fields:
        return _choose(k, p, n, a, call, first)
    if box.awaiting in p.open:
        raise Ebusy(f"call {box.awaiting} waits for any message already", call=call)
    deadline = deadline_ns(k, a.timeout_ms, call)
    if box.waiting:
        return _taken(k, p, n, next(iter(box.waiting.values())), first)
    if p.pid in k.post.lines.of:
        return _admitted(k, p, n, next(iter(k.post.lines.of[p.pid].held.values())), first)
    return Opened(deadline, (*first[0], ev.MessageAwaited(p.pid, n)), first[1], spare=True)


def _choose(k: Context, p: Process, n: int, a: Any, call: str, first: Decided) -> Done | Opened:
    wanted = Wanted(_types(a.types, call), a.sender, _wanted_fields(k, a.fields, call))
    deadline = deadline_ns(k, a.timeout_ms, call)
    for message in k.post.box(p.pid).waiting.values():
        if wanted.heads(message.kind, message.sender) and (not wanted.fields or _has(k, message, wanted.fields)):
            return _taken(k, p, n, message, first)
    if (line := k.post.lines.of.get(p.pid)) is not None:
        for message in line.held.values():
            if wanted.heads(message.kind, message.sender) and (not wanted.fields or _has(k, message, wanted.fields)):
                return _admitted(k, p, n, message, first)
    if len(k.post.choosy.get(p.pid, ())) >= limits.RECEIVES_MAX:
        raise Eagain(f"{limits.RECEIVES_MAX} calls wait for messages", call=call)
    awaited = ev.MessageAwaited(p.pid, n, wanted.kinds, wanted.sender, wanted.fields)
    return Opened(deadline, (*first[0], awaited), first[1], spare=True)


def _types(types: list[str] | None, call: str) -> list[str]:
    types = types or []
    if len(types) > limits.RECEIVE_TYPES_MAX:
        raise Einval(f"one call takes at most {limits.RECEIVE_TYPES_MAX} types", call=call)
    for kind in types:
        check_type(kind, call)
    return types


def check_type(kind: str, call: str) -> None:
    """Raise Einval for what can be no message's type."""
    if not kind or len(kind.encode("utf-8", "surrogatepass")) > limits.NAME_BYTES_MAX:
        raise Einval(f"a message's type has 1 to {limits.NAME_BYTES_MAX} bytes", call=call)


def _wanted_fields(k: Context, fields: Mapping[str, Any], call: str) -> dict[str, bytes]:
    if len(fields) > limits.RECEIVE_FIELDS_MAX:
        raise Einval(f"one call looks at {limits.RECEIVE_FIELDS_MAX} fields at most", call=call)
    wanted: dict[str, bytes] = {}
    for name, value in fields.items():
        if not 0 < len(name.encode("utf-8", "surrogatepass")) <= limits.NAME_BYTES_MAX:
            raise Einval(f"a field's name has 1 to {limits.NAME_BYTES_MAX} bytes", call=call)
        found = _field(k, value)
        if found is None:
            raise Einval(f"field {name!r} can be held against text, a number, a truth or None alone", call=call)
        wanted[name] = found
    return wanted


def _field(k: Context, value: object) -> bytes | None:
    """The digest of one field's value; None of what is not compared. 2 and 2.0 are the same, 1 and True are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is not None and not isinstance(value, str | int | float):
        return None
    try:
        return k.digest(pack(value))
    except (OverflowError, ValueError):
        return None


def _has(k: Context, message: Message, wanted: Mapping[str, bytes]) -> bool:
    """Whether a message that lies in the journal has these fields."""
    found = _seen.get(message.body)
    if found is None:
        body: dict[Any, Any] | None = msgspec.msgpack.decode(k.content(message.body, message.seq))["body"]
        found = {}
        if isinstance(body, dict):
            for name, value in islice(body.items(), limits.BODY_FIELDS_MAX):
                if (digest := _field(k, value)) is not None:
                    found[name] = digest
        if len(_seen) >= SEEN_MAX:
            del _seen[next(iter(_seen))]
        _seen[message.body] = found
    return all(found.get(name) == digest for name, digest in wanted.items())


def _body_has(k: Context, body: Any, wanted: Mapping[str, bytes]) -> bool:
    """The same of a body that is at hand."""
    if not isinstance(body, dict):
        return False
    fields: dict[Any, Any] = body
    names = fields if len(fields) <= limits.BODY_FIELDS_MAX else set(islice(fields, limits.BODY_FIELDS_MAX))
    return all(name in names and _field(k, fields[name]) == digest for name, digest in wanted.items())


def taker(
    k: Context, receiver: Process, kind: str, sender: int, body: Any, but: Collection[int] = ()
) -> int:  # fmt: skip
    """The oldest call of `receiver` that waits for such a message, `but` for these; 0: none. Costs as many as wait."""
    box = k.post.boxes.get(receiver.pid)
    any_message = box.awaiting if box is not None and box.awaiting in receiver.open and box.awaiting not in but else 0
    choosy = k.post.choosy
    if choosy and (waiting := choosy.get(receiver.pid)) is not None:
        for n, wanted in waiting.items():
            if any_message and any_message < n:
                break
            if n in but:
                continue
            if wanted.heads(kind, sender) and (not wanted.fields or _body_has(k, body, wanted.fields)):
                return n
    return any_message


def hand(receiver: Process, n: int, number: int, digest: bytes) -> tuple[ev.Event, ev.Event]:
    """The message is handed to the call that waits for it."""
    return ev.MessageTaken(receiver.pid, number, n), ev.CallClosed(receiver.pid, n, "", digest, receiver.tail)


def _taken(k: Context, p: Process, n: int, message: Message, first: Decided) -> Done:
    taken = ev.MessageTaken(p.pid, message.number, n)
    return Done(msgspec.Raw(_content(message, k.content)), (*first[0], taken), (), first[1], spare=True)


def _admitted(k: Context, p: Process, n: int, message: Message, first: Decided) -> Done:
    """It waited for room, and is asked for before what lies in the full mailbox."""
    events, contents = admitted_events(k, p.pid, message)
    return _taken(k, p, n, message, ((*first[0], *events), (*first[1], *contents)))


def admitted_events(k: Context, receiver: int, message: Message) -> Decided:
    """A message leaves the line before a mailbox; its sender goes on, or waits for the reply."""
    admitted = ev.MessageAdmitted(receiver, message.number)
    if message.call:
        return (admitted,), ()
    sender, n = k.table.require(message.sender), k.post.lines.of[receiver].calls[message.number]
    value = pack(message.number)
    return (admitted, ev.CallClosed(sender.pid, n, "", k.digest(value), sender.tail)), (value,)


def _check_hand(p: Process, in_hand: int, call: str) -> None:
    """Raise Eagain where it could have more in hand than it may. Costs as many calls as are open."""
    if in_hand + sum(other.call in RECEIVES for other in p.open.values()) >= limits.IN_HAND_MAX:
        raise Eagain(f"{in_hand} messages are in hand; finish with some", call=call)


def hand_out(k: Context, p: Process, numbers: Sequence[int], read: Callable[[bytes, int], bytes]) -> Decided:
    """Hand `p` what its calls wait for, of the messages that have come into its mailbox.

    Args:
        k: the kernel.
        p: the receiver.
        numbers: the messages that have come; what was sent to it since is looked at too, behind them.
        read: gives content by its digest and the entry that names it.
    """
    waiting = k.post.box(p.pid).waiting
    came = [waiting[number] for number in numbers if number in waiting]
    since, behind = max(numbers, default=0), len(came)
    for message in reversed(waiting.values()):
        if message.number > since:
            came.insert(behind, message)
        elif message.number not in numbers:
            break
    events: list[ev.Event] = []
    contents: list[bytes] = []
    used: list[int] = []
    for message in came:
        content = _content(message, read)
        body = msgspec.msgpack.decode(content)["body"] if p.pid in k.post.choosy else None
        by = taker(k, p, message.kind, message.sender, body, used)
        if by:
            used.append(by)
            events += hand(p, by, message.number, k.digest(content) if message.attempts else message.body)
            contents.append(content)
            if len(used) == len(p.open):
                break
    return tuple(events), tuple(contents)


def _content(message: Message, read: Callable[[bytes, int], bytes]) -> bytes:
    """What the receiver is handed: what was sent, with the attempt that this is."""
    content = read(message.body, message.seq)
    if not message.attempts:
        return content
    return pack({**msgspec.msgpack.decode(content), "attempt": message.attempts + 1})


def hand_passed(k: Context, p: Process, n: int, message: Message) -> tuple[tuple[ev.Event, ...], bytes]:
    """Hand `p` a message by its call `n` that comes out of another mailbox in the same entry; with the content."""
    content = _content(message, k.content)
    return hand(p, n, message.number, k.digest(content)), content


def back_to_pool(k: Context, p: Process, but: Collection[int] = ()) -> tuple[ev.Event, ...]:
    """What a member of a pool has, in hand or waiting, goes back to the pool; `but` for these, which are dead."""
    pool = k.state.pools.of(p.pid)
    if pool is None or not k.table.require(pool.pid).alive:
        return ()
    box = k.post.box(p.pid)
    numbers = [number for number in (*box.in_hand, *box.waiting) if number not in but]
    return tuple(ev.MessagePassed(number, p.pid, pool.pid, front=True) for number in reversed(numbers))


def return_cancelled(k: Context, p: Process, n: int) -> Decided:
    """A receive was cancelled after it had taken a message, and before its caller saw it: nobody has it, so it goes
    back, and to whoever waits for such a one by now."""
    box = k.post.box(p.pid)
    message = next((m for m in box.in_hand.values() if m.taken_by == n), None)
    if message is None:
        return (), ()
    returned = ev.MessageReturned(p.pid, message.number)
    message = msgspec.structs.replace(message, attempts=message.attempts - 1)
    content = _content(message, k.content)
    by = taker(k, p, message.kind, message.sender, msgspec.msgpack.decode(content)["body"])
    if not by:
        return (returned,), ()
    return (returned, *hand(p, by, message.number, k.digest(content))), (content,)
