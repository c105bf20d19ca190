"""Events of contexts: conversations as chains of nodes.

A node is the keyed digest of its parent node and of one message: its content, its role, where it came from, its labels.
No event holds a message or names a body of its own: the messages of `nodes` are those of call `n` of the same entry,
in order; those that it asked with where it was opened or done there, and its answer where it was closed there.

`parent` is the entry of the node before (0: this very entry, where the context was opened), and `at` how many of that
entry's nodes lie on the way; so a chain is read by walking back, and a fork is a pointer.
"""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, array_like=True, frozen=True):
    """Where a message came from."""

    kind: str
    """`operator`, `user`, `model`, `tool` or `agent`."""
    name: str = ""
    """Which one: a model's or tool's name, an agent's pid."""
    by: int = 0
    """The process on whose word it rests; 0 where the kernel saw it itself."""


class Node(msgspec.Struct, array_like=True, frozen=True):
    """One message's place in a chain. Both digests stay when the content is forgotten: the chain still verifies."""

    node: bytes
    content: bytes
    """The keyed digest of the message alone; it names no stored body."""
    role: str


class ContextOpened(msgspec.Struct, array_like=True, frozen=True, tag="context.opened/1"):
    """An empty context. `node` is its root: the digest of its labels."""

    pid: int
    context: int
    node: bytes
    labels: list[str]


class ContextAppended(msgspec.Struct, array_like=True, frozen=True, tag="context.appended/1"):
    """Messages were appended; the last of `nodes` is the head. Where a call was asked in the context and this is its
    answer, what it asked with is appended by it, too."""

    pid: int
    context: int
    n: int
    parent: int
    at: int
    source: Source
    labels: list[str]
    nodes: list[Node]
    size: int
    """Of the messages, bytes."""
    images: int = 0
    """Pictures in them."""


class ContextAsked(msgspec.Struct, array_like=True, frozen=True, tag="context.asked/1"):
    """A model is asked the context with these messages after it. The head stays until there is an answer."""

    pid: int
    context: int
    n: int
    parent: int
    at: int
    source: Source
    labels: list[str]
    nodes: list[Node]
    size: int
    """Of the messages, bytes."""
    images: int = 0
    """Pictures in them."""


class ContextForked(msgspec.Struct, array_like=True, frozen=True, tag="context.forked/1"):
    """A second context that shares everything up to `node`, which is number `at` of those of `entry`."""

    pid: int
    context: int
    origin: int
    node: bytes
    entry: int
    at: int
    length: int
    size: int
    images: int
    labels: list[str]


class ContextClosed(msgspec.Struct, array_like=True, frozen=True, tag="context.closed/1"):
    """The process let go of it; its nodes stay in the journal."""

    pid: int
    context: int
