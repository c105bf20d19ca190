"""The codec between a worker and the kernel: length-prefixed msgpack, in arrays, both directions.

    worker -> kernel   [delivered, [[n, name, args], ...]]     a frame: the calls that the last item led to
    kernel -> worker   [n, time_ns, errno, value]              an item: one answer, piece, signal, or the start

Each is preceded by its length: 4 bytes, little-endian. `n` numbers an incarnation's calls from 1. An item's errno is
"" for a result, "+" for a piece of a stream that stays open, else the name of an error whose value is
`[message, detail]`. `n == 0` starts the program, `n < 0` is signal `-n`.

This module does no I/O and gives no meaning to a call: `args` and results stay raw on the kernel's side.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from prytany.abi.errors import Einval
from prytany.abi.limits import ARGUMENT_BYTES_MAX, FRAME_BYTES_MAX, FRAME_CALLS_MAX

LENGTH_BYTES: Final = 4
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""What decoding bytes from outside can raise: of no form, text that is no UTF-8, nested too deeply, a map as a key."""
OK: Final = ""
PIECE: Final = "+"
START: Final = 0


class Call(msgspec.Struct, array_like=True, frozen=True):
    """One call as the kernel reads it; `args` is an undecoded msgpack array."""

    n: int
    name: str
    args: msgspec.Raw


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """What a worker sends: it has taken `delivered` items, the start included, and then made `calls`."""

    delivered: int
    calls: Annotated[list[Call], msgspec.Meta(max_length=FRAME_CALLS_MAX)]


ItemTuple = tuple[int, int, str, Any]
_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(Frame)
_items = msgspec.msgpack.Decoder(ItemTuple)
decode_frame = _frames.decode
decode_item = _items.decode


def encode_call(n: int, name: str, args: tuple[Any, ...]) -> bytes:
    """One call as it will stand in its frame.

    Encoded when it is made and not when it is sent, so that what the program changes afterwards changes no call.

    Raises:
        Einval: an argument has no msgpack form, or they are together beyond ARGUMENT_BYTES_MAX.
    """
    try:
        call = _encoder.encode((n, name, args))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Einval(f"an argument cannot be sent: {error}", call=name) from None
    if len(call) > ARGUMENT_BYTES_MAX:
        raise Einval(
            f"the arguments take {len(call)} bytes; at most {ARGUMENT_BYTES_MAX} go into one call",
            call=name,
            detail={"bytes": len(call), "bytes_max": ARGUMENT_BYTES_MAX},
        )
    return call


def join_frame(delivered: int, calls: list[bytes]) -> bytes:
    """The frame of calls that are encoded already, with its length in front."""
    count = len(calls)
    # The array's header by hand: joining encoded calls is several times cheaper than encoding them a second time.
    header = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    body = b"".join((b"\x92", _encoder.encode(delivered), header, *calls))
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


def encode_item(n: int, time_ns: int, errno: str, value: object) -> bytes:
    """One item with its length in front; `value` may be `msgspec.Raw`, which is copied as it stands."""
    body = _encoder.encode((n, time_ns, errno, value))
    return len(body).to_bytes(LENGTH_BYTES, "little") + body


class FrameReader:
    """Cuts a byte stream into bodies of at most `bytes_max`. Holds at most one incomplete frame."""

    __slots__ = ("_bytes_max", "_need", "_rest")

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._rest = bytearray()
        self._need = LENGTH_BYTES

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes, in order.

        Raises:
            Einval: a length is beyond the bound; the stream is of no use from there on.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        bodies: list[bytes] = []
        at, size = 0, len(data)
        self._need = LENGTH_BYTES
        while size - at >= LENGTH_BYTES:
            length = int.from_bytes(data[at : at + LENGTH_BYTES], "little")
            if length > self._bytes_max:
                raise Einval(f"a frame of {length} bytes; at most {self._bytes_max} are taken")
            end = at + LENGTH_BYTES + length
            if end > size:
                self._need = LENGTH_BYTES + length
                break
            bodies.append(data[at + LENGTH_BYTES : end])
            at = end
        if at < size:
            self._rest += data[at:] if at else data
        return bodies
