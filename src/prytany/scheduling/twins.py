"""Identical calls in flight become one: the first is asked, and the others get its answer.

Only for calls of which the caller says that any answer will do for all (a deterministic model, or by the operator's
leave), and never across tenants: who waits for whom would be told by the time that it takes. Identical is the digest of
model, parameters and context, which whoever calls this has made.

Where the first ends without an answer, or is wanted no more, the next is asked: a failure is nobody else's.
"""

from __future__ import annotations

import msgspec

FOLLOWERS_MAX = 1_024


class Pair(msgspec.Struct):
    """Calls that are one. `asked` is the key of the one that is asked."""

    name: tuple[int, bytes]
    asked: int
    followers: dict[int, None] = {}


class Twins:
    """See the module. O(1) each.

    Attributes:
        spared: calls that were not asked, because another was.
    """

    def __init__(self) -> None:
        self.spared = 0
        self._by_name: dict[tuple[int, bytes], Pair] = {}
        self._by_key: dict[int, Pair] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self, tenant: int, digest: bytes, key: int) -> bool:
        """Call `key` is made; whether it waits for another that is the same. Else it is asked itself."""
        name = (tenant, digest)
        pair = self._by_name.get(name)
        if pair is None:
            self._by_name[name] = self._by_key[key] = Pair(name, key)
            return False
        if len(pair.followers) >= FOLLOWERS_MAX:
            return False  # and nobody waits for it
        pair.followers[key] = None
        self._by_key[key] = pair
        return True

    def answered(self, key: int) -> list[int]:
        """The call that was asked has its answer. Gives those that get the same, in the order in which they came."""
        pair = self._by_key.get(key)
        if pair is None or pair.asked != key:
            return []
        del self._by_name[pair.name]
        for one in (key, *pair.followers):
            del self._by_key[one]
        self.spared += len(pair.followers)
        return list(pair.followers)

    def left(self, key: int) -> int | None:
        """A call ended without an answer, or is wanted no more. Gives who is asked in its place, if it was the one."""
        pair = self._by_key.pop(key, None)
        if pair is None:
            return None
        if pair.asked != key:
            del pair.followers[key]
            return None
        if not pair.followers:
            del self._by_name[pair.name]
            return None
        pair.asked = next(iter(pair.followers))
        del pair.followers[pair.asked]
        return pair.asked
