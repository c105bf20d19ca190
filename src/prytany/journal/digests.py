"""Keyed digests: how an event names content without telling what it is.

Each tenant has one random key. Without it a digest can neither be guessed from a dictionary nor compared with
another tenant's; with the key destroyed, the digests that are left in the chain say nothing. Keys are never in the
journal: `save` gives bytes that the caller keeps in a file of its own.

Source: BLAKE2 (RFC 7693), keyed mode.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from prytany.abi.errors import Eio, Enoent
from prytany.abi.wire import UNREADABLE

DIGEST_BYTES = 16
KEY_BYTES = 32
_CHECK_BYTES = 16


class Key(NamedTuple):
    """The key of one tenant."""

    key_id: int
    secret: bytes


class _Saved(msgspec.Struct, array_like=True):
    format: int
    next_key_id: int
    keys: list[tuple[int, int, bytes]]


class Keyring:
    """The keys of all tenants of a shard; a key id is never given twice."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        """An empty ring. `entropy(n)` gives n random bytes fit for keys."""
        self._entropy = entropy
        self._keys: dict[int, Key] = {}
        self._keyed: dict[int, blake2b] = {}
        self._next_key_id = 1

    def admit(self, tenant: int) -> bool:
        """Give `tenant` a key unless it has one; True when one was made, which is to be saved before it is used."""
        if tenant in self._keys:
            return False
        self._keys[tenant] = Key(self._next_key_id, self._entropy(KEY_BYTES))
        self._next_key_id += 1
        return True

    def forget(self, tenant: int) -> bool:
        """Destroy the key of `tenant`; whether there was one. A later key of this tenant has another id."""
        self._keyed.pop(tenant, None)
        return self._keys.pop(tenant, None) is not None

    def key_id(self, tenant: int) -> int | None:
        """The id of the tenant's key, or None when it has none."""
        key = self._keys.get(tenant)
        return key.key_id if key else None

    def digest(self, tenant: int, content: bytes) -> bytes:
        """The name of `content` within `tenant`, 16 bytes.

        Raises:
            Enoent: the tenant has no key, or it was destroyed.
        """
        keyed = self._keyed.get(tenant)
        if keyed is None:
            if tenant not in self._keys:
                raise Enoent(f"tenant {tenant} has no key")
            keyed = self._keyed[tenant] = blake2b(digest_size=DIGEST_BYTES, key=self._keys[tenant].secret)
        hashed = keyed.copy()  # the key is one block of its own: it is hashed once, and not for each content
        hashed.update(content)
        return hashed.digest()

    def save(self) -> bytes:
        """All keys, with a checksum. Secret: whoever has it can test what was said."""
        keys = [(tenant, key.key_id, key.secret) for tenant, key in sorted(self._keys.items())]
        packed = msgspec.msgpack.encode(_Saved(1, self._next_key_id, keys))
        return blake2b(packed, digest_size=_CHECK_BYTES).digest() + packed

    @classmethod
    def load(cls, saved: bytes, entropy: Callable[[int], bytes]) -> Keyring:
        """The ring that `save` gave.

        Raises:
            Eio: the bytes are damaged, or of a newer format.
        """
        check, packed = saved[:_CHECK_BYTES], saved[_CHECK_BYTES:]
        if blake2b(packed, digest_size=_CHECK_BYTES).digest() != check:
            raise Eio("the keyring is damaged")
        try:
            content = msgspec.msgpack.decode(packed, type=_Saved)
        except UNREADABLE as error:
            raise Eio(f"the keyring is damaged: {error}") from None
        if content.format != 1:
            raise Eio(f"the keyring's format {content.format} is newer than this version's 1")
        if any(len(secret) != KEY_BYTES for _, _, secret in content.keys):
            raise Eio("the keyring is damaged: a key has another length than keys have")
        ring = cls(entropy)
        ring._keys = {tenant: Key(key_id, secret) for tenant, key_id, secret in content.keys}
        ring._next_key_id = content.next_key_id
        return ring
