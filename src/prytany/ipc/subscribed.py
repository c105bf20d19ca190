"""Who is subscribed to what: patterns in a trie of their tokens, so that finding costs what matches, whoever else is
subscribed.

A pattern `a.*.c` lies at root ▸ a ▸ * ▸ c; `a.>` at root ▸ a, in `rest`. Names were checked before they come here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from prytany.abi.topics import ONE, REST


class Node(msgspec.Struct, array_like=True):
    """What begins with the tokens down to here. Invariant: only the root is empty."""

    below: dict[str, Node] = {}
    here: dict[int, None] = {}
    """Whose patterns end here."""
    rest: dict[int, None] = {}
    """Whose patterns go on with `>`."""

    @property
    def empty(self) -> bool:
        """Nobody's pattern leads here."""
        return not (self.below or self.here or self.rest)


def add(root: Node, pattern: str, who: int) -> None:
    """`who` is subscribed to what matches `pattern`; nothing where that is so already."""
    tokens = pattern.split(".")
    rest = tokens[-1] == REST
    node = root
    for token in tokens[:-1] if rest else tokens:
        found = node.below.get(token)
        if found is None:
            found = node.below[token] = Node()
        node = found
    (node.rest if rest else node.here)[who] = None


def remove(root: Node, pattern: str, who: int) -> None:
    """It is not any more."""
    tokens = pattern.split(".")
    rest = tokens[-1] == REST
    way: list[tuple[Node, str]] = []
    node = root
    for token in tokens[:-1] if rest else tokens:
        way.append((node, token))
        node = node.below[token]
    (node.rest if rest else node.here).pop(who, None)
    for above, token in reversed(way):
        if not above.below[token].empty:
            break
        del above.below[token]


def reached(root: Node, topic: str) -> Mapping[int, None]:
    """All whose patterns match, each once, in the order of patterns and then of subscribing. To look at only."""
    found: list[dict[int, None]] = []
    ahead = [root]
    for token in topic.split("."):
        nodes: list[Node] = []
        for node in ahead:
            if node.rest:
                found.append(node.rest)
            if (one := node.below.get(token)) is not None:
                nodes.append(one)
            if (one := node.below.get(ONE)) is not None:
                nodes.append(one)
        ahead = nodes
    found += [node.here for node in ahead if node.here]
    if len(found) == 1:
        return found[0]
    return {who: None for some in found for who in some}
