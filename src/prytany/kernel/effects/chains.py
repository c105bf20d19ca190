"""Contexts, read: from the journal by walking back from a node, and held decoded within a bound of bytes.

What a model is asked is built here alone, from what is stored, whether the kernel has run for a year or for a second.
So the bytes of a prefix are the same at each turn, and a provider can have it cached. A walk ends at the first node
that is held, so that a turn reads what it added; every node is checked against its parent and its content.

    strand = the messages of one walk from a root, in order; a node is found by its place (entry, which of its nodes)

A fork before the end of a strand begins a strand of its own with the same message objects. A strand that was packed
(`memory.tiers` says when) is found by its last place alone, where its context stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.journal.bodies import Stored
from prytany.kernel.effects.packed import Link, Packed, pack, unpack
from prytany.kernel.record import of_archive
from prytany.kernel.trap import decode_arguments
from prytany.kernel.turn import others_first
from prytany.memory.context import assistant_message, message_bytes, node_of
from prytany.memory.tiers import Tiers
from prytany.ports.store import Reader, Row

OVERHEAD_BYTES = 1_500
"""What a held message takes beside its content, about, with its place in the table."""
STEPS_AT_ONCE = 64
"""Entries that are read before others get a turn."""
Place = tuple[int, int]
Said = ev.ContextAppended | ev.ContextAsked


class Strand:
    """A chain from its root. Only grows; what is in it never changes."""

    __slots__ = ("key", "links", "messages", "pid", "root", "size", "used")

    def __init__(self, key: int, pid: int, root: tuple[bytes, list[str]]) -> None:
        """`key` is its own for as long as it is held, in whatever form; `pid` is whose context it is."""
        self.key = key
        self.pid = pid
        self.root = root
        self.links: list[Link] = []
        self.messages: list[dict[str, Any]] = []
        self.size = 0
        self.used = 0
        """How many times."""

    def add(self, link: Link) -> None:
        """The next message."""
        self.links.append(link)
        self.messages.append(link.message)
        self.size += link.size + OVERHEAD_BYTES


class Chains:
    """The contexts of one tenant that are held, those of all its processes."""

    def __init__(
        self, reader: Callable[[], Reader], digest: Callable[[bytes], bytes], tiers: Tiers, tenant: int = 0
    ) -> None:
        """`reader` gives the view of what is durable; `digest` is the tenant's; `tiers` bounds what is held, and is
        shared with the chains of other tenants."""
        self._reader = reader
        self._digest = digest
        self.tiers = tiers
        self._tenant = tenant
        self._held: dict[int, Strand | Packed] = {}
        self._of: dict[int, set[int]] = {}
        """What is held, by pid."""
        self._places: dict[Place, tuple[Strand, int]] = {}
        self._tips: dict[Place, int] = {}
        """Of those that are packed."""
        self.entries_read = 0

    async def read(self, seq: int, at: int, pid: int = 0) -> tuple[Strand, int]:
        """The chain that ends with node `at` of entry `seq`, and its length; the strand may go on after it.

        Args:
            seq: the entry, durable.
            at: which of its nodes, from 1; 0 is the root that it opened.
            pid: whose context it is.

        Raises:
            Eio: an entry or content of it is missing, was forgotten, or does not follow from what is before it.
        """
        found: list[list[Link]] = []
        place = (seq, at)
        while (known := await self._known(place)) is None:
            row, events, said, opened = self._entry(place[0])
            if said is None:
                assert opened is not None
                known = self._begun(pid, opened)
                break
            found.append(self._links(row, events, said, place[1]))
            if not said.parent:
                if opened is None:
                    raise Eio(f"entry {row.seq} begins a context and does not open it")
                known = self._begun(pid, opened)
                break
            place = (said.parent, said.at)
            self.entries_read += 1
            if not self.entries_read % STEPS_AT_ONCE:
                await others_first()
        else:
            self.tiers.counts.hits += 1
        return self._extend(*known, [link for links in reversed(found) for link in links])

    def _begun(self, pid: int, opened: ev.ContextOpened) -> tuple[Strand, int]:
        self.tiers.counts.misses += 1
        return Strand(self.tiers.new_key(), pid, (opened.node, opened.labels)), 0

    async def _known(self, place: Place) -> tuple[Strand, int] | None:
        """What is held of the chain that ends there; made ready, if it is not."""
        known = self._places.get(place)
        if known is not None or (key := self._tips.get(place)) is None:
            return known
        packed = self._held[key]
        assert isinstance(packed, Packed)
        links = await unpack(packed)
        if (known := self._places.get(place)) is not None:
            return known  # somebody else did the same meanwhile
        self.tiers.counts.unpacked += 1
        strand = Strand(key, packed.pid, packed.root)
        for link in links:
            strand.add(link)
        self._touch(strand)
        return strand, len(links)

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
        return Stored(self._reader(), self._tenant, row.bodies, "a context").read(digest)

    def _extend(self, strand: Strand, length: int, links: list[Link]) -> tuple[Strand, int]:
        """Put what was read after message `length` of `strand`. Nothing is awaited here: others use it as well."""
        if links and (known := self._places.get(links[-1].place)) is not None:
            strand, length = known  # another walk came first, and went all the way
            links = []
        if links or strand.links:  # a root alone is read again as cheaply as it is held
            self._touch(strand)
        # Another may have gone a part of it.
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
            self._put(strand, msgspec.structs.replace(link, size=size))
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
        branch = Strand(self.tiers.new_key(), strand.pid, strand.root)
        self._touch(branch)
        for link in strand.links[:length]:
            self._put(branch, link)
        return branch

    def _put(self, strand: Strand, link: Link) -> None:
        strand.add(link)
        self._places[link.place] = strand, len(strand.links)
        self.tiers.resize(strand.key, strand.size)

    def _touch(self, strand: Strand) -> None:
        """It is used now, and held if it was not, or was packed."""
        strand.used += 1
        held = self._held.get(strand.key)
        if held is not strand:
            if held is not None:
                self._unlink(strand.key, held)
            self._held[strand.key] = strand
            self._of.setdefault(strand.pid, set()).add(strand.key)
            for number, link in enumerate(strand.links, 1):
                self._places[link.place] = strand, number
        self.tiers.use(strand.key, self._tenant, strand.pid)
        self.tiers.resize(strand.key, strand.size)

    def _unlink(self, key: int, held: Strand | Packed) -> None:
        """It is not found any more."""
        if isinstance(held, Packed):
            if self._tips.get(held.tip) == key:
                del self._tips[held.tip]
            return
        for link in held.links:
            if (known := self._places.get(link.place)) is not None and known[0] is held:
                del self._places[link.place]

    async def pack(self, key: int) -> bool:
        """Pack a strand that is held; False where it was used meanwhile: it stays as it is then."""
        strand = self._held.get(key)
        if not isinstance(strand, Strand):
            return False
        if not strand.links:  # what was to be its first message turned out to be damaged
            self.drop(key)
            self.tiers.drop(key)
            return True
        used = strand.used
        packed = await pack(strand.pid, strand.root, list(strand.links))
        if self._held.get(key) is not strand or strand.used != used:
            return False
        self._unlink(key, strand)
        self._held[key] = packed
        self._tips[packed.tip] = key
        self.tiers.pack(key, packed.size)
        return True

    def drop(self, key: int) -> None:
        """It is held no more."""
        held = self._held.pop(key, None)
        if held is None:
            return
        self._unlink(key, held)
        own = self._of[held.pid]
        own.discard(key)
        if not own:
            del self._of[held.pid]

    def let_go(self, pid: int) -> None:
        """Nothing of that process is held any more, in any form: it has ended, or what it said is forgotten."""
        for key in list(self._of.get(pid, ())):
            self.drop(key)
            self.tiers.drop(key)
