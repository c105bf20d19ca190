"""Content that many entries name, above all the text of programs: hashed once, and handed to the journal once.

The journal keeps content once a tenant whatever it is handed; this spares the way there. What is forgotten is handed
over anew by the next entry that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

SHARED_KEPT = 64
SHARED_BYTES_MAX = 64 << 20


class Shared:
    """The shared content of late; what was used first is let go first."""

    def __init__(self, digest: Callable[[bytes], bytes]) -> None:
        self._digest = digest
        self._digests: dict[bytes, bytes] = {}  # by content: bytes know their hash once it was asked for
        self._handed: set[bytes] = set()
        self._bytes = 0

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        found = self._digests.get(content)
        if found is None:
            found = self._digests[content] = self._digest(content)
            self._bytes += len(content)
            while len(self._digests) > SHARED_KEPT or self._bytes > SHARED_BYTES_MAX:
                oldest = next(iter(self._digests))
                self._bytes -= len(oldest)
                self._handed.discard(self._digests.pop(oldest))
        return found

    def hand_over(self, content: bytes) -> bytes | None:
        """The digest of `content` where the journal is to be given it; None where it has it."""
        digest = self.digest(content)
        if digest in self._handed:
            return None
        self._handed.add(digest)
        return digest

    def forget(self, digests: Iterable[bytes]) -> None:
        """The journal is about to destroy these."""
        self._handed.difference_update(digests)
