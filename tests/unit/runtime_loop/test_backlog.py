"""A worker that has much to send goes on reading: the kernel may wait for that before it reads."""

from __future__ import annotations

import socket
import threading

from prytany.abi.wire import FrameReader, decode_frame, encode_item
from prytany.runtime.loop import WorkerLoop

LARGE = b"x" * (3 << 20)
ITEMS = 6


def test_neither_side_waits_for_the_other_to_read_first() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    theirs.settimeout(30)
    heard: list[int] = []

    def kernel() -> None:
        for n in range(1, ITEMS + 1):  # all of it goes out before anything is read
            ours.sendall(encode_item(n, 1, "", LARGE))
        reader = FrameReader()
        while data := ours.recv(1 << 20):
            heard.extend(call.n for body in reader.feed(data) for call in decode_frame(body).calls)

    thread = threading.Thread(target=kernel)
    thread.start()
    loop = WorkerLoop(theirs)
    futures = [loop.call("file_write", ("p", LARGE)) for _ in range(2)]
    loop.flush()
    assert len(loop._items) >= 1
    theirs.close()
    thread.join()
    ours.close()
    loop.close()
    assert heard == [future.n for future in futures]
