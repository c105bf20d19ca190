"""One context: a chain of nodes, of which only the head is held.

    root = digest(labels)
    node = digest(parent node, digest(message), role, source, labels)

The digest is keyed by tenant, so a node can neither be guessed nor tell two tenants that they said the same. Everything
that makes a difference for who said what is inside it: two heads are equal when, and only when, the same was said in
the same order, with the same roles, from the same sources, under the same labels.

Source: Merkle, "A Digital Signature Based on a Conventional Encryption Function", 1987; git's commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from prytany.abi.events import Node, Source
from prytany.abi.values import pack

Digest = Callable[[bytes], bytes]
IMAGES = ("image", "image_url")


class Asked(msgspec.Struct, array_like=True):
    """What a model is being asked, after the head: call `n`, whose intent is entry `seq`."""

    n: int
    seq: int
    node: bytes
    count: int
    size: int
    images: int


class Added(NamedTuple):
    """What a few messages add to a chain."""

    nodes: list[Node]
    size: int
    """Bytes."""
    images: int


class Head(msgspec.Struct, array_like=True):
    """Where a context stands. Costs the same whatever its length."""

    node: bytes
    seq: int
    """The entry that made the node."""
    at: int
    """Which of that entry's nodes it is, from 1; 0 is the root."""
    length: int
    """Messages."""
    size: int
    """Of their content, bytes."""
    images: int
    """Pictures in them: for a model they weigh more than their bytes."""
    labels: list[str]
    """Every label on the way from the root, sorted."""
    asked: Asked | None = None
    """The last question; whether it is still open is the process table's to say."""


def root_of(digest: Digest, labels: Sequence[str]) -> bytes:
    """The node of an empty context."""
    return digest(pack(("context/1", sorted(labels))))


def message_bytes(message: Mapping[str, Any]) -> bytes:
    """A message but for its role, in the one form that is digested.

    Raises:
        TypeError, ValueError, RecursionError: it has no such form.
    """
    said = {name: value for name, value in message.items() if name != "role"}
    return msgspec.msgpack.encode(said, order="deterministic")


def assistant_message(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The message that an answer is, for the turns after it: OpenAI's chat form.

    Raises:
        KeyError, TypeError: one of its tool calls is none.
    """
    message: dict[str, Any] = {"role": "assistant", "content": answer["text"]}
    if calls := answer.get("tool_calls"):
        message["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in calls
        ]
    return message


def images_of(message: Mapping[str, Any]) -> int:
    """How many parts of a message are pictures."""
    content: Any = message.get("content")
    if not isinstance(content, list):
        return 0
    parts = cast("Sequence[Any]", content)
    return sum(isinstance(part, dict) and cast("dict[str, Any]", part).get("type") in IMAGES for part in parts)


def node_of(digest: Digest, parent: bytes, content: bytes, role: str, source: Source, labels: Sequence[str]) -> bytes:
    """The node of one message; `content` is the digest of its bytes."""
    return digest(pack((parent, content, role, source, labels)))


def chain(
    digest: Digest, parent: bytes, messages: Iterable[Mapping[str, Any]], source: Source, labels: Sequence[str]
) -> Added:
    """What `messages` add after `parent`.

    Args:
        digest: keyed.
        parent: the node that they follow.
        messages: each with a role.
        source: of all of them.
        labels: of each of them, sorted.

    Raises:
        TypeError, ValueError, RecursionError: a message has no form that can be digested.
    """
    nodes: list[Node] = []
    size = images = 0
    for message in messages:
        packed = message_bytes(message)
        content = digest(packed)
        role = str(message["role"])
        parent = node_of(digest, parent, content, role, source, labels)
        nodes.append(Node(parent, content, role))
        size += len(packed)
        images += images_of(message)
    return Added(nodes, size, images)
