"""The chain: each hash covers the hash before it and the record's bytes as stored.

So whoever changes, drops or inserts a record has to change every later hash. That shows damage and edits; a rewrite of
everything from some point on, or a cut tail, is a chain as good as the first, and shows only against an anchored head.

The hash before has a fixed length, so the two parts cannot be shifted against each other.
"""

from __future__ import annotations

from hashlib import blake2b

HASH_BYTES = 16

GENESIS = blake2b(b"prytany journal 1", digest_size=HASH_BYTES).digest()
"""What stands before the first record."""


def next_hash(previous: bytes, record: bytes) -> bytes:
    """The hash of `record` after `previous`."""
    return blake2b(previous + record, digest_size=HASH_BYTES).digest()
