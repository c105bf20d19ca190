"""Raw workers that misbehave on the wire. Loaded by path as a worker's entry, so it must import nothing of the tests.

The first argument of the process says how; anything else runs as an honest program.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

import msgspec

from prytany.runtime import worker

pack = msgspec.msgpack.encode


def frame(delivered: object, calls: list[Any]) -> bytes:
    return sized(pack([delivered, calls]))


def sized(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


def receive(sock: socket.socket) -> list[Any]:
    head = sock.recv(4, socket.MSG_WAITALL)
    return list(msgspec.msgpack.decode(sock.recv(int.from_bytes(head, "little"), socket.MSG_WAITALL)))


def wait_for_ever(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def nested(levels: int) -> bytes:
    return b"\x91" * levels + b"\xc0"


def never_reads(sock: socket.socket, calls: int) -> None:
    """It asks and asks, and takes no answer: each is an error with a long text in it."""
    for n in range(1, calls + 1):
        sock.sendall(frame(1, [[n, "process_spawn", [f"main.py:{'x' * 200_000}", []]]]))


def exits_and_goes_on(sock: socket.socket) -> None:
    sock.sendall(frame(1, [[1, "process_exit", [0, "done", None]], [2, "nop", [b""]], [3, "nop", [b""]]]))
    for n in range(4, 40):
        sock.sendall(frame(1, [[n, "nop", [b""]]]))


def calls(sock: socket.socket, *asked: tuple[str, list[Any]]) -> None:
    """Make calls one after the other, and exit with what each was answered: an errno, or "ok"."""
    said: list[str] = []
    for n, (name, arguments) in enumerate(asked, 1):
        sock.sendall(frame(n, [[n, name, arguments]]))
        answer = receive(sock)
        said.append(answer[2] or "ok")
    sock.sendall(frame(len(asked) + 1, [[len(asked) + 1, "process_exit", [0, said, None]]]))
    wait_for_ever(sock)


BYTES = {
    "garbage": b"\x05\0\0\0hello",
    "no msgpack": sized(b"\xc1\xc1"),
    "another shape": sized(pack({"delivered": 1})),
    "a number for calls": sized(pack([1, 7])),
    "100 MB": (100 << 20).to_bytes(4, "little") + b"x" * 100_000,
    "a name that is no text": frame(1, [[1, msgspec.Raw(b"\xa2\xff\xfe"), []]]),
    "many calls": frame(1, [[n, "nop", [b""]] for n in range(1, 5_000)]),
    "deep call": frame(1, [[1, "process_spawn", [":main", [msgspec.Raw(nested(500_000))]]]]),
    "deep frame": sized(b"\x92\x01\x91\x93\x01\xa3nop" + nested(500_000)),
    "number again": frame(1, [[1, "nop", [b""]], [1, "nop", [b""]]]),
    "number ahead": frame(1, [[7, "nop", [b""]]]),
    "number below": frame(1, [[-1, "nop", [b""]]]),
    "delivered less": frame(-1, []),
    "delivered more": frame(2, []),
    "delivered huge": frame((1 << 64) - 1, []),
    "delivered a word": frame("one", []),
    "nothing twice": frame(1, []) + frame(1, []),
}
OTHER = 1  # a pid that is not ours
ASKED: dict[str, list[tuple[str, list[Any]]]] = {
    "others": [
        ("process_wait", [OTHER]), ("process_signal", [OTHER, 9]), ("process_wait", [(1 << 64) - 1]),
        ("process_wait", [-1]), ("process_signal", [(1 << 64) - 1, 1 << 60]), ("call_cancel", [1]),
    ],
    "shapes": [
        ("process_spawn", []), ("process_spawn", [1, 2, 3]), ("nop", ["a word"]), ("no_such_call", []),
        ("process_exit", [-1]), ("process_exit", [1 << 40]), ("process_exit", ["x"]), ("timer_wait", [-(1 << 63)]),
        ("process_wait", [msgspec.Raw(nested(500))]), ("call_cancel", [{"a": msgspec.Raw(nested(500))}]),
        ("process_spawn", ["\0", []]), ("process_spawn", ["../" * 5_000 + "x.py:main", []]),
        ("process_spawn", ["/dev/zero:main", []]), ("process_spawn", ["/proc/self/mem:main", []]),
    ],
}  # fmt: skip


def main(sock: socket.socket) -> int:
    start = sock.recv(1 << 20, socket.MSG_PEEK)
    how = msgspec.msgpack.decode(start[4:])[3]["args"]
    if not how or how[0] not in {*BYTES, *ASKED, *WAYS}:
        return worker.main(sock)
    receive(sock)
    if how[0] in BYTES:
        sock.sendall(BYTES[how[0]])
        wait_for_ever(sock)
    elif how[0] in ASKED:
        calls(sock, *ASKED[how[0]])
    else:
        WAYS[how[0]](sock)
    return 0


def floods(sock: socket.socket) -> None:
    for _ in range(40):
        os.write(1, b"y" * 65_535 + b"\n")
    calls(sock)


def closes(sock: socket.socket) -> None:
    os.close(3)
    while True:
        os.getpid()


def names_its_error_badly(sock: socket.socket) -> None:
    sock.sendall(frame(1, [[1, "process_exit", [3, None, {"type": "secret " * 1_000, "message": 7}]]]))
    wait_for_ever(sock)


def leaves_deep(sock: socket.socket) -> None:
    sock.sendall(frame(1, [[1, "process_exit", [0, msgspec.Raw(nested(600)), None]]]))
    wait_for_ever(sock)


def too_many_in_flight(sock: socket.socket) -> None:
    for n in range(1, 4_301):
        sock.sendall(frame(1, [[n, "timer_wait", [1 << 62]]]))
    said = [receive(sock)[2] for _ in range(4_300 - 4_096)]
    sock.sendall(frame(1, [[4_301, "process_exit", [0, sorted(set(said)), None]]]))
    wait_for_ever(sock)


WAYS: dict[str, Any] = {
    "exits and goes on": exits_and_goes_on,
    "never reads": lambda sock: never_reads(sock, 1 << 30),
    "floods": floods,
    "closes": closes,
    "bad error": names_its_error_badly,
    "deep result": leaves_deep,
    "too many in flight": too_many_in_flight,
    "half a frame": lambda sock: (sock.sendall(b"\xff\0\0\0abc"), sys.exit(4)),
}
