"""Contexts: opening, appending, forking, and what a model call in a context adds.

What came from whom is decided here, and never taken from the caller where it matters: what a program says is the
program's; what it says of others is recorded as its word; the operator and models it cannot speak for at all.

A question stands in the journal with the intent of its call, and the head moves only with the answer. So a call that
failed, was cancelled or was lost leaves its context as it was, and asking again appends the question once: its node is
the same node.
"""

from __future__ import annotations

from typing import Any, Protocol

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Ebusy, Edquot, Einval, Enoent, Eperm
from prytany.kernel.models.requests import check_messages
from prytany.kernel.outcome import Context, Done, Opened
from prytany.memory.context import Added, Head, assistant_message, chain, message_bytes, root_of
from prytany.memory.contexts import Contexts
from prytany.process.process import Process

CLAIMS = frozenset({"user", "tool", "agent"})
UNCLAIMED = frozenset({"operator", "model"})


class Keeper(Protocol):
    """What has the contexts."""

    @property
    def contexts(self) -> Contexts:
        """Every process's."""
        ...

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        ...


def check_size(message: dict[str, Any], call: str) -> None:
    """Raise Einval for a message that is too large to be kept, or has no form in which it could be."""
    try:
        size = len(message_bytes(message))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Einval(f"a message cannot be kept: {error}", call=call) from None
    if size > limits.CONTEXT_MESSAGE_BYTES_MAX:
        raise Einval(f"a message has {size} bytes; {limits.CONTEXT_MESSAGE_BYTES_MAX} are the most", call=call)


def check_labels(labels: list[str] | None, call: str) -> list[str]:
    """The labels, sorted, each once; raises Einval for ones that are empty, too long or too many."""
    found = sorted(set(labels or ()))
    if len(found) > limits.CONTEXT_LABELS_MAX:
        raise Einval(f"a context has at most {limits.CONTEXT_LABELS_MAX} labels", call=call)
    if any(not 0 < len(label.encode()) <= limits.NAME_BYTES_MAX for label in found):
        raise Einval(f"a label has from 1 to {limits.NAME_BYTES_MAX} bytes", call=call)
    return found


def source_of(p: Process, text: str, call: str) -> ev.Source:
    """Where a message comes from: the caller, or whom it names, on its word. Raises Eperm, Einval."""
    if not text:
        return ev.Source("agent", str(p.pid))
    kind, _, name = text.partition(":")
    if kind in UNCLAIMED:
        raise Eperm(f"only the kernel says that {kind} said something", call=call)
    if kind not in CLAIMS or len(name.encode()) > limits.NAME_BYTES_MAX:
        raise Einval(f"a source is one of {', '.join(sorted(CLAIMS))}, and a short name after a colon", call=call)
    return ev.Source(kind, name, p.pid)


def require_head(k: Context, p: Process, number: int, call: str) -> Head:
    """The caller's context of that number; raises Enoent."""
    head = k.contexts.get(p.pid, number)
    if head is None:
        raise Enoent(f"this process has no context {number}", call=call)
    return head


def require_idle(p: Process, head: Head, number: int, call: str) -> None:
    """Raise Ebusy while a model is asked in it."""
    asked = head.asked
    # A number alone would not do: an incarnation begins to count anew.
    if asked is not None and (found := p.open.get(asked.n)) is not None and found.seq == asked.seq:
        raise Ebusy(f"call {asked.n} asks a model in context {number}", call=call)


def _add(
    k: Context, head: Head, messages: list[dict[str, Any]], source: ev.Source, labels: list[str], call: str
) -> Added:
    check_messages(messages, call)
    for message in messages:
        check_size(message, call)
    added = chain(k.digest, head.node, messages, source, labels)
    if head.size + added.size > limits.CONTEXT_BYTES_MAX or head.length + len(messages) > limits.CONTEXT_MESSAGES_MAX:
        raise Edquot(
            f"the context is full: {head.length} messages of {head.size} bytes",
            call=call,
            detail={"bytes_max": limits.CONTEXT_BYTES_MAX, "messages_max": limits.CONTEXT_MESSAGES_MAX},
        )
    return added


def check_count(k: Context, p: Process, call: str) -> None:
    """Raise Edquot where the caller can have no other context."""
    if k.contexts.count(p.pid) >= limits.CONTEXTS_MAX:
        raise Edquot(f"{limits.CONTEXTS_MAX} contexts are open; close some", call=call)


def ask_in(k: Context, p: Process, n: int, messages: list[dict[str, Any]], number: int) -> ev.ContextAsked:
    """What a model call adds to its intent. Raises Enoent, Ebusy, Einval, Edquot."""
    call = "model_chat"
    head = require_head(k, p, number, call)
    require_idle(p, head, number, call)
    if not messages and not head.length:
        raise Einval("a model needs at least one message", call=call)
    source = source_of(p, "", call)
    added = _add(k, head, messages, source, [], call)
    return ev.ContextAsked(p.pid, number, n, head.seq, head.at, source, [], *added)


def answer_in(
    k: Keeper, p: Process, n: int, value: dict[str, Any], source: ev.Source
) -> tuple[dict[str, Any], tuple[ev.Event, ...]]:
    """What an answer to call `n` adds to the context that it was asked in, and the answer with the node that it makes.

    Raises Einval where the answer cannot be a message. A call that is in no context, or is open no more, adds nothing.
    """
    call = p.open.get(n)
    head = k.contexts.get(p.pid, call.subject) if call is not None else None
    if call is None or head is None or (asked := head.asked) is None or asked.seq != call.seq:
        return value, ()
    try:
        added = chain(k.digest, asked.node, [assistant_message(value)], source, [])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Einval(f"the answer cannot be kept: {error}", call=call.call) from None
    event = ev.ContextAppended(p.pid, call.subject, n, asked.seq, asked.count, source, [], *added)
    return {**value, "node": added.nodes[-1].node, "length": head.length + asked.count + 1}, (event,)


def sys_context_open(k: Context, p: Process, n: int, a: Any) -> Done:
    """An empty chain, and its first messages in the same entry."""
    call = "context_open"
    check_count(k, p, call)
    labels = check_labels(a.labels, call)
    number = k.contexts.next_number(p.pid)
    root = root_of(k.digest, labels)
    source = source_of(p, "", call)
    added = _add(k, Head(root, 0, 0, 0, 0, 0, labels), a.messages, source, [], call)
    events: tuple[ev.Event, ...] = (ev.ContextOpened(p.pid, number, root, labels),)
    if added.nodes:
        events += (ev.ContextAppended(p.pid, number, n, 0, 0, source, [], *added),)
    return Done(_value(number, added.nodes[-1].node if added.nodes else root, len(added.nodes)), after=events)


def sys_context_append(k: Context, p: Process, n: int, a: Any) -> Done:
    """The head moves by what is said."""
    call = "context_append"
    head = require_head(k, p, a.context, call)
    require_idle(p, head, a.context, call)
    if not a.messages:
        raise Einval("there is nothing to append", call=call)
    source, labels = source_of(p, a.source, call), check_labels(a.labels, call)
    if len({*head.labels, *labels}) > limits.CONTEXT_LABELS_MAX:
        raise Einval(f"a context has at most {limits.CONTEXT_LABELS_MAX} labels", call=call)
    added = _add(k, head, a.messages, source, labels, call)
    appended = ev.ContextAppended(p.pid, a.context, n, head.seq, head.at, source, labels, *added)
    return Done(_value(a.context, added.nodes[-1].node, head.length + len(a.messages)), after=(appended,))


def sys_context_fork(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """A fork of the head is a pointer at once; a node before it has to be looked for first, in the journal."""
    call = "context_fork"
    head = require_head(k, p, a.context, call)
    check_count(k, p, call)
    if a.node and a.node != head.node:
        return Opened(head.length)
    number = k.contexts.next_number(p.pid)
    forked = ev.ContextForked(
        p.pid, number, a.context, head.node, head.seq, head.at, head.length, head.size, head.images, head.labels
    )
    return Done(_value(number, head.node, head.length), after=(forked,))


def sys_context_read(k: Context, p: Process, n: int, a: Any) -> Opened:
    """What is read is what there was when it was asked for: the length then is recorded with the intent."""
    head = require_head(k, p, a.context, "context_read")
    if a.first < 0 or not 1 <= a.count <= limits.CONTEXT_READ_MAX:
        raise Einval(f"from a message on, 1 to {limits.CONTEXT_READ_MAX} can be read", call="context_read")
    return Opened(head.length)


def sys_context_close(k: Context, p: Process, n: int, a: Any) -> Done:
    """Its nodes stay in the journal."""
    head = require_head(k, p, a.context, "context_close")
    require_idle(p, head, a.context, "context_close")
    return Done(after=(ev.ContextClosed(p.pid, a.context),))


def _value(number: int, node: bytes, length: int) -> dict[str, Any]:
    return {"context": number, "node": node, "length": length}
