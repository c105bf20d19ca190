"""The room: what a node is a digest of, and where a head stands after any sequence of events."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prytany.abi import events as ev
from prytany.abi.errors import KernelPanic
from prytany.memory.context import Head, chain, root_of
from prytany.memory.contexts import FOLDS, Contexts

AGENT = ev.Source("agent", "1")
text = st.text(max_size=20)
labels = st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(sorted)
turns = st.lists(
    st.tuples(
        st.sampled_from(["user", "assistant", "system", "tool"]),
        text,
        st.builds(
            ev.Source, st.sampled_from(["agent", "user", "tool", "model"]), st.text(max_size=5), st.integers(0, 9)
        ),
        labels,
    ),
    min_size=1,
    max_size=6,
)
Turn = tuple[str, str, ev.Source, list[str]]


def digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16, key=b"tenant").digest()


def said(conversation: list[Turn], root: list[str] | None = None) -> list[bytes]:
    """The nodes of a conversation, root first."""
    nodes = [root_of(digest, root or [])]
    for role, content, source, of in conversation:
        nodes.append(chain(digest, nodes[-1], [{"role": role, "content": content}], source, of).nodes[-1].node)
    return nodes


@given(turns)
def test_equal_conversations_have_equal_heads(conversation: list[Turn]) -> None:
    assert said(conversation) == said(list(conversation))


@given(turns, st.data())
def test_any_change_of_what_was_said_changes_every_node_from_there_on(
    conversation: list[Turn], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(conversation) - 1))
    role, content, source, of = conversation[place]
    changes: list[Turn] = [
        ("developer", content, source, of),
        (role, content + "x", source, of),
        (role, content, msgspec.structs.replace(source, kind="operator"), of),
        (role, content, msgspec.structs.replace(source, name=source.name + "x"), of),
        (role, content, msgspec.structs.replace(source, by=source.by + 1), of),
        (role, content, source, [*of, "d"]),
    ]
    before = said(conversation)
    for changed in changes:
        after = said([*conversation[:place], changed, *conversation[place + 1 :]])
        assert after[: place + 1] == before[: place + 1]
        assert not set(after[place + 1 :]) & set(before)


@given(turns, st.randoms(use_true_random=False))
def test_another_order_is_another_conversation(conversation: list[Turn], chance: Any) -> None:
    shuffled = list(conversation)
    chance.shuffle(shuffled)
    assert (said(shuffled) == said(conversation)) == (shuffled == conversation)


@given(turns, labels)
def test_the_labels_of_a_context_are_in_every_node(conversation: list[Turn], of: list[str]) -> None:
    assert (said(conversation, of)[-1] == said(conversation)[-1]) == (not of)


def test_what_else_a_message_holds_is_in_its_node_whatever_the_order_of_its_fields() -> None:
    call = {"role": "tool", "content": "7", "tool_call_id": "call_1"}
    turned = dict(reversed(call.items()))
    other = {**call, "tool_call_id": "call_2"}
    one, same, differs = (chain(digest, b"", [m], AGENT, []).nodes[0].node for m in (call, turned, other))
    assert one == same
    assert one != differs


def test_pictures_are_counted_beside_bytes() -> None:
    parts: list[Any] = [
        {"type": "text", "text": "this"},
        {"type": "image", "data": b"x"},
        {"type": "image_url"},
        "image",
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}, {"role": "user", "content": "image"}]
    assert chain(digest, b"", messages, AGENT, []).images == 2


def test_another_tenants_key_gives_other_nodes() -> None:
    other: Callable[[bytes], bytes] = lambda content: blake2b(content, digest_size=16, key=b"other").digest()  # noqa: E731
    message = {"role": "user", "content": "the same"}
    assert chain(digest, b"", [message], AGENT, []).nodes != chain(other, b"", [message], AGENT, []).nodes


class Fold:
    """The room, and what a naive list says it should hold."""

    def __init__(self) -> None:
        self.room = Contexts()
        self.seq = 0
        self.lists: dict[int, list[bytes]] = {}
        self.places: dict[bytes, tuple[int, int]] = {}

    def apply(self, event: ev.Event) -> None:
        FOLDS[type(event)](self.room, self.seq, event)

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def open(self) -> None:
        seq, number = self.next(), self.room.next_number(1)
        root = root_of(digest, [str(number)])
        self.apply(ev.ContextOpened(1, number, root, [str(number)]))
        self.lists[number], self.places[root] = [root], (seq, 0)

    def say(self, number: int, count: int) -> None:
        head = self.head(number)
        nodes = self.nodes(head.node, count)
        seq = self.next()
        self.apply(ev.ContextAppended(1, number, seq, head.seq, head.at, AGENT, ["l"], nodes, count))
        self.keep(number, nodes)

    def ask(self, number: int, count: int, *, answered: bool) -> None:
        head = self.head(number)
        nodes = self.nodes(head.node, count)
        seq = self.next()
        self.apply(ev.ContextAsked(1, number, seq, head.seq, head.at, AGENT, [], nodes, count))
        assert self.head(number).node == self.lists[number][-1]
        if answered:
            asked = head.asked
            assert asked is not None
            answer = self.nodes(asked.node, 1)
            now = self.next()
            self.apply(ev.ContextAppended(1, number, seq, seq, asked.count, AGENT, [], answer, 1))
            self.lists[number] += [node.node for node in nodes]
            self.keep(number, answer, now)

    def fork(self, number: int) -> None:
        head, new = self.head(number), self.room.next_number(1)
        self.next()
        self.apply(
            ev.ContextForked(
                1, new, number, head.node, head.seq, head.at, head.length, head.size, head.images, head.labels
            )
        )
        self.lists[new] = list(self.lists[number])

    def close(self, number: int) -> None:
        self.next()
        self.apply(ev.ContextClosed(1, number))
        del self.lists[number]

    def head(self, number: int) -> Head:
        head = self.room.get(1, number)
        assert head is not None
        return head

    def nodes(self, parent: bytes, count: int) -> list[ev.Node]:
        messages = [{"role": "user", "content": f"{self.seq} {n}"} for n in range(count)]
        return chain(digest, parent, messages, AGENT, []).nodes

    def keep(self, number: int, nodes: list[ev.Node], seq: int = 0) -> None:
        self.lists[number] += [node.node for node in nodes]
        self.places[nodes[-1].node] = (seq or self.seq, len(nodes))

    def check(self) -> None:
        heads = self.room.owned[1].heads if self.lists else {}
        assert set(heads) == set(self.lists)
        for number, nodes in self.lists.items():
            head = heads[number]
            assert (head.node, head.length, head.size) == (nodes[-1], len(nodes) - 1, len(nodes) - 1)
            assert (head.seq, head.at) == self.places[head.node]


@given(
    st.lists(
        st.tuples(st.sampled_from(["open", "say", "ask", "fail", "fork", "close"]), st.integers(0, 9)), max_size=30
    )
)
def test_a_head_stands_where_a_list_would_end_whatever_happens(steps: list[tuple[str, int]]) -> None:
    fold = Fold()
    for step, chance in steps:
        if step == "open" or not fold.lists:
            fold.open()
            continue
        number = sorted(fold.lists)[chance % len(fold.lists)]
        match step:
            case "say":
                fold.say(number, 1 + chance % 3)
            case "ask" | "fail":
                fold.ask(number, chance % 3, answered=step == "ask")
            case "fork":
                fold.fork(number)
            case _:
                fold.close(number)
        fold.check()
    packed = msgspec.msgpack.encode(fold.room)
    assert msgspec.msgpack.decode(packed, type=Contexts) == fold.room


def test_a_process_that_is_reaped_takes_its_contexts_along() -> None:
    fold = Fold()
    fold.open()
    fold.apply(ev.ProcessReaped(2))
    assert list(fold.room.owned) == [1]
    fold.apply(ev.ProcessReaped(1))
    assert fold.room.owned == {}
    assert fold.room.get(1, 1) is None


def test_an_event_that_does_not_follow_is_a_panic() -> None:
    fold = Fold()
    fold.open()
    fold.say(1, 1)
    nodes = fold.nodes(b"", 1)
    for event in (
        ev.ContextAppended(1, 1, 1, 1, 0, AGENT, [], nodes, 1),
        ev.ContextAsked(1, 1, 1, 1, 0, AGENT, [], nodes, 1),
        ev.ContextAppended(1, 2, 1, 2, 1, AGENT, [], nodes, 1),
        ev.ContextOpened(1, 1, b"", []),
        ev.ContextClosed(2, 1),
    ):
        with pytest.raises(KernelPanic):
            fold.apply(event)
