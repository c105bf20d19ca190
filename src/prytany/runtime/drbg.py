"""Random bytes from a seed: BLAKE2b, keyed with the seed, over a counter.

The seed is recorded by the kernel at the start of an incarnation, so a replay draws the same bytes. Who knows the seed
knows the bytes: what has to stay secret from the operator must not be made in a worker.
"""

from __future__ import annotations

import hashlib

_BLOCK_BYTES = 64


class Drbg:
    """An endless, reproducible source of bytes. Small reads share a block."""

    def __init__(self, seed: bytes) -> None:
        self.restart(seed)

    def restart(self, seed: bytes) -> None:
        """Begin again, from `seed`."""
        self._key = hashlib.blake2b(seed, person=b"prytany.drbg").digest()
        self._counter = 0
        self._rest = b""

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size < 0:
            raise ValueError("negative argument not allowed")
        if size > len(self._rest):
            blocks = [self._rest]
            for _ in range(-(-(size - len(self._rest)) // _BLOCK_BYTES)):
                blocks.append(hashlib.blake2b(self._counter.to_bytes(8, "little"), key=self._key).digest())
                self._counter += 1
            self._rest = b"".join(blocks)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def seed_of(seed: bytes, epoch: int, calls: int) -> bytes:
    """The seed of a history: after its program has begun again `epoch` times, and the record was cut at a call."""
    if not epoch and not calls:
        return seed
    return hashlib.blake2b(b"%d %d" % (epoch, calls), key=seed[:64], digest_size=32, person=b"prytany.cut").digest()
