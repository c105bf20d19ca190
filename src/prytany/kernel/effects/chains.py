"""Contexts, read: from the journal by walking back from a node, and held decoded within a bound of bytes.

What a model is asked is built here alone, from what is stored, whether the kernel has run for a year or for a second.
So the bytes of a prefix are the same at each turn, and a provider can have it cached. A walk ends at the first node
that is held, so that a turn reads what it added; every node is checked against its parent and its content.

    strand = the messages of one walk from a root, in order; a node is found by its place (entry, which of its nodes)

A fork before the end of a strand begins a strand of its own with the same message objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.journal.bodies import Stored
from prytany.kernel.ledger import TENANT
from prytany.kernel.record import of_archive
from prytany.kernel.trap import decode_arguments
from prytany.kernel.turn import others_first
from prytany.memory.context import assistant_message, message_bytes, node_of
from prytany.ports.store import Reader, Row

OVERHEAD_BYTES = 600
"""What a held message takes beside its content, about."""
STEPS_AT_ONCE = 64
"""Entries that are read before others get a turn."""
Place = tuple[int, int]
Said = ev.ContextAppended | ev.ContextAsked


class Link(NamedTuple):
    """One message, read."""

    place: Place
    node: bytes
    source: ev.Source
    labels: list[str]
    message: dict[str, Any]
    size: int


class Strand:
    """A chain from its root. Only grows; what is in it never changes."""

    __slots__ = ("links", "messages", "root", "size")

    def __init__(self, root: bytes, labels: list[str]) -> None:
        self.root = root, labels
        self.links: list[Link] = []
        self.messages: list[dict[str, Any]] = []
        self.size = 0

    def add(self, link: Link) -> None:
        """The next message."""
        self.links.append(link)
        self.messages.append(link.message)
        self.size += link.size + OVERHEAD_BYTES


class Chains:
    """The contexts that are held decoded."""

    def __init__(self, reader: Callable[[], Reader], digest: Callable[[bytes], bytes], bytes_max: int) -> None:
        """`reader` gives the view of what is durable; `digest` is the keyed one; `bytes_max` bounds what is held."""
        self._reader = reader
        self._digest = digest
        self._bytes_max = bytes_max
        self._held: dict[int, Strand] = {}  # by identity, the one that was used last at the end
        self._places: dict[Place, tuple[Strand, int]] = {}
        self.size = 0
        self.entries_read = 0

    async def read(self, seq: int, at: int) -> tuple[Strand, int]:
        """The chain that ends with node `at` of entry `seq`, and its length; the strand may go on after it.

        Raises:
            Eio: an entry or content of it is missing, was forgotten, or does not follow from what is before it.
        """
        found: list[list[Link]] = []
        place = (seq, at)
        while (known := self._places.get(place)) is None:
            row, events, said, opened = self._entry(place[0])
            if said is None:
                assert opened is not None
                known = Strand(opened.node, opened.labels), 0
                break
            found.append(self._links(row, events, said, place[1]))
            if not said.parent:
                if opened is None:
                    raise Eio(f"entry {row.seq} begins a context and does not open it")
                known = Strand(opened.node, opened.labels), 0
                break
            place = (said.parent, said.at)
            self.entries_read += 1
            if not self.entries_read % STEPS_AT_ONCE:
                await others_first()
        return self._extend(*known, [link for links in reversed(found) for link in links])

    def _entry(self, seq: int) -> tuple[Row, list[ev.Event], Said | None, ev.ContextOpened | None]:
        row = self._reader().row(seq)
        if row is None:
            raise Eio(f"entry {seq} of a context is missing{of_archive(self._reader(), seq)}")
        said: Said | None = None
        opened: ev.ContextOpened | None = None
        events = ev.decode_entry(row.record).events
        for event in events:
            if isinstance(event, Said):
                said = event
            elif isinstance(event, ev.ContextOpened):
                opened = event
        if said is None and opened is None:
            raise Eio(f"entry {seq} is linked from a context and holds nothing of one")
        return row, events, said, opened

    def _links(self, row: Row, events: list[ev.Event], said: Said, at: int) -> list[Link]:
        messages = self._messages(row, events, said) if at else []
        if len(messages) < at or len(said.nodes) < at:
            raise Eio(f"entry {row.seq} holds fewer messages than a context has there")
        return [
            Link((row.seq, place + 1), node.node, said.source, said.labels, messages[place], 0)
            for place, node in enumerate(said.nodes[:at])
        ]

    def _messages(self, row: Row, events: list[ev.Event], said: Said) -> list[dict[str, Any]]:
        """What call `said.n` was asked with, or answered, in this entry."""
        for event in events:
            if isinstance(event, ev.CallOpened | ev.CallDone) and (event.pid, event.n) == (said.pid, said.n):
                messages: list[dict[str, Any]] = decode_arguments(
                    event.call, self._content(row, event.argument)
                ).messages
                return messages
            if isinstance(event, ev.CallClosed) and (event.pid, event.n) == (said.pid, said.n):
                return [assistant_message(msgspec.msgpack.decode(self._content(row, event.result)))]
        raise Eio(f"entry {row.seq} does not hold the call that its context names")

    def _content(self, row: Row, digest: bytes) -> bytes:
        return Stored(self._reader(), TENANT, row.bodies, "a context").read(digest)

    def _extend(self, strand: Strand, length: int, links: list[Link]) -> tuple[Strand, int]:
        """Put what was read after message `length` of `strand`. Nothing is awaited here: others use it as well."""
        if links or strand.links:  # a root alone is read again as cheaply as it is held
            self._touch(strand)
        # Another walk may have come first, and may have gone the same way.
        ahead = strand.links[length : length + len(links)]
        same = 0
        while same < len(ahead) and ahead[same].place == links[same].place:
            same += 1
        length, links = length + same, links[same:]
        if not links:
            return strand, length
        if length < len(strand.links):
            strand = self._branch(strand, length)
        parent = strand.links[-1].node if strand.links else strand.root[0]
        for link in links:
            parent, size = self._checked(parent, link)
            self._put(strand, link._replace(size=size))
        self._shed(strand)
        return strand, len(strand.links)

    def _checked(self, parent: bytes, link: Link) -> tuple[bytes, int]:
        packed = message_bytes(link.message)
        role = str(link.message["role"])
        node = node_of(self._digest, parent, self._digest(packed), role, link.source, link.labels)
        if node != link.node:
            raise Eio(f"the context does not follow at entry {link.place[0]}: a node is not the digest of what it says")
        return node, len(packed)

    # What is held.

    def _branch(self, strand: Strand, length: int) -> Strand:
        branch = Strand(*strand.root)
        self._touch(branch)
        for link in strand.links[:length]:
            self._put(branch, link)
        return branch

    def _put(self, strand: Strand, link: Link) -> None:
        before = strand.size
        strand.add(link)
        self.size += strand.size - before
        self._places[link.place] = strand, len(strand.links)

    def _touch(self, strand: Strand) -> None:
        if self._held.pop(id(strand), None) is None:
            self.size += strand.size
            for number, link in enumerate(strand.links):
                self._places[link.place] = strand, number + 1
        self._held[id(strand)] = strand

    def _shed(self, kept: Strand) -> None:
        while self.size > self._bytes_max and len(self._held) > 1:
            oldest = next(iter(self._held.values()))
            if oldest is kept:
                break
            del self._held[id(oldest)]
            self.size -= oldest.size
            for link in oldest.links:
                if (known := self._places.get(link.place)) is not None and known[0] is oldest:
                    del self._places[link.place]
