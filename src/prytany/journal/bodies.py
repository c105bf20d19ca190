"""Bodies: the content that records name by digest, beside the chain.

Small ones lie in the row itself, packed, since a second row in a second table would cost as much as the entry.
Large ones are rows of their own, shared within a tenant. Which of the two is a matter of size alone.

    packed = msgpack [[digest, content], ...]; no bodies are no bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from prytany.abi.errors import Eio
from prytany.abi.wire import UNREADABLE
from prytany.ports.store import Body, Reader

SMALL_BYTES_MAX = 4_096
"""A body above this is a `Body` row."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


def pack(bodies: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The bytes for `Row.bodies` of (digest, content) pairs."""
    return _encode(bodies) if bodies else b""


def unpack(packed: bytes) -> list[tuple[bytes, bytes]]:
    """The (digest, content) pairs of `Row.bodies`.

    Only what `pack` would have made is taken: another encoding of the same pairs is damage too.

    Raises:
        Eio: the bytes are damaged.
    """
    if not packed:
        return []
    try:
        bodies = _decode(packed)
    except UNREADABLE as error:
        raise Eio(f"packed bodies are damaged: {error}") from error
    if pack(bodies) != packed:
        raise Eio("packed bodies are damaged: not in their one form")
    return bodies


def split(tenant: int, key_id: int, bodies: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, list[Body]]:
    """What of `bodies` goes into the row, packed, and what becomes rows of its own."""
    small: list[tuple[bytes, bytes]] = []
    large: list[Body] = []
    for digest, content in bodies:
        if len(content) > SMALL_BYTES_MAX:
            large.append(Body(tenant, digest, key_id, content))
        else:
            small.append((digest, content))
    return pack(small), large


class Stored:
    """The content that one record names: what lies in its row, and what has a row of its own."""

    __slots__ = ("_digest_of", "_of", "_reader", "_small", "_tenant")

    def __init__(
        self, reader: Reader, tenant: int, packed: bytes, of: str,
        digest_of: Callable[[bytes], bytes] | None = None,
    ) -> None:  # fmt: skip
        """`packed` is the row's; `of` says what the record is part of, for people; with `digest_of`, what is read is
        held against the digest that names it.

        Raises:
            Eio: `packed` is damaged.
        """
        self._reader, self._tenant, self._of, self._digest_of = reader, tenant, of, digest_of
        self._small = dict(unpack(packed))

    def read(self, digest: bytes) -> bytes:
        """The content of that digest; none for an empty one.

        Raises:
            Eio: it is missing, was forgotten, or is damaged.
            StoreError: it cannot be read.
        """
        if not digest:
            return b""
        if (content := self._small.get(digest)) is None:
            if (body := self._reader.body(self._tenant, digest)) is None:
                raise Eio(f"content of {self._of} is missing or was forgotten")
            content = body.content
        if self._digest_of is not None and self._digest_of(content) != digest:
            raise Eio(f"content of {self._of} is damaged")
        return content
