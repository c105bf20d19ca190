"""What the kernel and a tool process say to each other: length-prefixed msgpack, in arrays.

kernel -> tool   Start, then Call and Cancel
tool -> kernel   Described or Refused, then Answer, in the order in which calls end
"""

from __future__ import annotations

import msgspec

from prytany.abi.wire import LENGTH_BYTES
from prytany.ports.tool import ToolManifest


class Start(msgspec.Struct, array_like=True, frozen=True):
    """The first frame: the file's text, and the secrets, which are in no environment that `ps` could show."""

    path: str
    source: bytes
    secrets: dict[str, str]


class Described(msgspec.Struct, array_like=True, frozen=True, tag="described"):
    """The file was imported, and has these tools."""

    manifests: list[ToolManifest]


class Refused(msgspec.Struct, array_like=True, frozen=True, tag="refused"):
    """The file is of no use."""

    message: str


class Call(msgspec.Struct, array_like=True, frozen=True, tag="call"):
    """Call a function."""

    id: int
    name: str
    arguments: msgspec.Raw
    key: str


class Cancel(msgspec.Struct, array_like=True, frozen=True, tag="cancel"):
    """Nobody waits for this call any more. A plain function runs on; its result is dropped."""

    id: int


class Answer(msgspec.Struct, array_like=True, frozen=True, tag="answer"):
    """How a call ended: `kind` is "" for a result, else as in `ports.tool.ToolFailure`."""

    id: int
    kind: str
    value: bytes
    """The packed result."""
    message: str = ""


Order = Call | Cancel
_encode = msgspec.msgpack.Encoder().encode
decode_start = msgspec.msgpack.Decoder(Start).decode
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
decode_order = _orders.decode
_described: msgspec.msgpack.Decoder[Described | Refused] = msgspec.msgpack.Decoder(Described | Refused)
decode_described = _described.decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Start | Order | Described | Refused | Answer) -> bytes:
    """The message as it is sent."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body
