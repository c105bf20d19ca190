"""What a launcher and its zygote say to each other, and how it is framed on their socket.

A frame is four bytes of length, big endian, and a msgpack body. A `Fork` carries two descriptors (SCM_RIGHTS), sent
with the first byte of its frame: the worker's end of its kernel socket, then the write end of its output pipe. The
socket is a stream, so that the end of either side shows as end of file, on macOS too.

Must not carry anything of a program: that goes through the worker's own socket, which this pair never reads.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec

from prytany.ports.runner import UTILITY
from prytany.runtime.confinement import Confinement

FRAME_BYTES_MAX = 256 << 10
FORK_DESCRIPTORS = 2
ENTRY = "prytany.runtime.worker:main"
"""What a worker runs once it is confined: `(socket) -> exit status`."""

EXIT_CONFINEMENT = 120
"""The exit status of a worker that could not be confined, and so ran nothing; its output says which step failed."""


_Pid = Annotated[int, msgspec.Meta(ge=2, le=1 << 30)]
_Ticks = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Amount = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Code = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Signal = Annotated[int, msgspec.Meta(ge=1, le=127)]


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A worker to start. `name` is what the machine's `ps` shows; `qos` is its class, which says what it weighs."""

    name: str = "prytany-worker"
    confinement: Confinement = Confinement()
    qos: int = UTILITY


class Fork(msgspec.Struct, frozen=True, tag=True):
    """Launcher to zygote: start one; the descriptors come along."""

    id: int
    spec: WorkerSpec


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Zygote to launcher: preloaded and frozen; `landlock_abi` is 0 when it is unconfined."""

    landlock_abi: int
    version: str = ""
    """Of the prytany that it is."""


class Started(msgspec.Struct, frozen=True, tag=True):
    """Zygote to launcher: the worker exists. Its start time tells it from a later process of the same number."""

    id: int
    os_pid: _Pid
    start_time: _Ticks


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Zygote to launcher: there will be no worker for this id."""

    id: int
    errno: int
    message: str


class Exited(msgspec.Struct, frozen=True, tag=True):
    """Zygote to launcher: the worker is gone and reaped. One of `code` and `signal` is set."""

    id: int
    code: _Code | None
    signal: _Signal | None
    cpu_us: _Amount
    maxrss_kb: _Amount


Report = Ready | Started | Failed | Exited
_encoder = msgspec.msgpack.Encoder()
fork_decoder = msgspec.msgpack.Decoder(Fork)
report_decoder: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(Report)


def frame(message: Fork | Report) -> bytes:
    """The bytes of one message; raises ValueError when it is too long."""
    body = _encoder.encode(message)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a control message of {len(body)} bytes; at most {FRAME_BYTES_MAX}")
    return struct.pack(">I", len(body)) + body


class Frames:
    """Cuts a stream into bodies. What is held back is never more than one frame and one read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that `data` completes; raises ValueError on a length that nobody may send."""
        self._buffer += data
        bodies: list[bytes] = []
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > FRAME_BYTES_MAX:
                raise ValueError(f"a control message of {length} bytes; at most {FRAME_BYTES_MAX}")
            if len(self._buffer) < 4 + length:
                break
            bodies.append(bytes(self._buffer[4 : 4 + length]))
            del self._buffer[: 4 + length]
        return bodies
