"""A fleet file's text as a tree of nodes that know their places.

The tree is YAML's own, before any meaning is given to what is written: whether `no` is a word or a truth is for the
key that it stands at (`reading`). Anchors work; merging (`<<`) does not: `defaults` is for that.

Bounded: the text, the depth, and the nodes counted as often as aliases repeat them, so that a small file cannot stand
for a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from prytany.system.fleet.faults import Fault, FleetError, Path, Place
from prytany.system.wording import quoted

TEXT_BYTES_MAX = 1 << 20
DEPTH_MAX = 32
NODES_MAX = 50_000
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "tag:yaml.org,2002:merge"
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")

Node = yaml.Node
Mapping = yaml.MappingNode
Sequence = yaml.SequenceNode
Scalar = yaml.ScalarNode


class Document(NamedTuple):
    """A tree, and what is wrong with it whatever it means."""

    root: Node
    faults: list[Fault]


def parse_document(text: bytes, name: str) -> Document:
    """The tree of a file's text. Keys that stand twice, and others that no meaning could be given to, are faults.

    Args:
        text: UTF-8.
        name: the file's, for errors.

    Raises:
        FleetError: it is no YAML, empty, more than one document, or larger than a bound.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise FleetError(name, [Fault(Place(1, 1), (), f"a fleet file has at most {TEXT_BYTES_MAX} bytes")])
    try:
        decoded = text.decode()
        _check_depth(decoded, name)
        root = yaml.compose(decoded, Loader=LOADER)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - text.rfind(b"\n", 0, error.start)
        raise FleetError(name, [Fault(Place(line, column), (), "it is not UTF-8 text")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        said = " ".join(filter(None, (error.context, error.problem)))
        raise FleetError(name, [Fault(place, (), f"it is not YAML: {said}")]) from None
    except yaml.YAMLError as error:
        said = "it holds characters that no YAML may" if isinstance(error, yaml.reader.ReaderError) else str(error)
        raise FleetError(name, [Fault(Place(1, 1), (), f"it is not YAML: {said}")]) from None
    if root is None:
        raise FleetError(name, [Fault(Place(1, 1), (), "it is empty; `prytany init` writes one to begin with")])
    walk = _Walk()
    if not walk.look(root, (), 0):
        raise FleetError(name, walk.faults)
    return Document(root, walk.faults)


def _check_depth(text: str, name: str) -> None:
    """Look at the text as it streams by: making a tree of it recurses in C, and deep nesting would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            mark = event.start_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
            raise FleetError(name, [Fault(place, (), f"it is nested deeper than {DEPTH_MAX}")])


def place_of(node: Node) -> Place:
    """Where a node begins."""
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


class _Walk:
    """One look at every node: the bounds, and keys that are no words or stand twice."""

    def __init__(self) -> None:
        self._nodes = 0
        self.faults: list[Fault] = []

    def look(self, node: Node, path: Path, depth: int) -> bool:
        """Whether to go on: past a bound, nothing further is looked at."""
        self._nodes += 1
        if depth > DEPTH_MAX:
            self.faults.append(Fault(place_of(node), path[:4], f"it is nested deeper than {DEPTH_MAX}"))
            return False
        if self._nodes > NODES_MAX:
            what = f"the file stands for more than {NODES_MAX} values, with what its aliases repeat"
            self.faults.append(Fault(place_of(node), (), what))
            return False
        if not isinstance(node, Scalar) and node.tag not in _COLLECTIONS:
            self.faults.append(Fault(place_of(node), path, f"the tag {quoted(node.tag)} is not taken"))
        if isinstance(node, Sequence):
            return all(self.look(item, (*path, at), depth + 1) for at, item in enumerate(node.value))
        return self._entries(node, path, depth) if isinstance(node, Mapping) else True

    def _entries(self, node: Mapping, path: Path, depth: int) -> bool:
        seen: dict[str, Place] = {}
        for key, value in node.value:
            if not isinstance(key, Scalar):
                self.faults.append(Fault(place_of(key), path, "a key has to be a word"))
                continue
            if key.tag == MERGE:
                self.faults.append(Fault(place_of(key), path, "`<<` is not taken; put what is common under `defaults`"))
                continue
            name = str(key.value)
            if (first := seen.setdefault(name, place_of(key))) != place_of(key):
                what = f"it stands twice; the first is in line {first.line}"
                self.faults.append(Fault(place_of(key), (*path, name), what))
            if not self.look(value, (*path, name), depth + 1):
                return False
        return True


def entries(node: Mapping) -> Iterator[tuple[Scalar, str, Node]]:
    """The keys that can mean something, as nodes and as text, and the values."""
    for key, value in node.value:
        if isinstance(key, Scalar) and key.tag != MERGE:
            yield key, str(key.value), value
