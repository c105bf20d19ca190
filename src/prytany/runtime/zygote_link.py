"""The kernel's end of the socket to one zygote: requests with their descriptors go out, reports come in.

A descriptor that is handed over is closed here once it is sent, or when the link is closed before that. Nothing blocks.
What comes of a report, and of the zygote's end, is its owner's to say.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable

from prytany.runtime.messages import Frames, Report, report_decoder

_READ_BYTES = 1 << 16


class ZygoteLink:
    """See the module."""

    def __init__(self, sock: socket.socket, on_report: Callable[[Report], bool], on_lost: Callable[[], None]) -> None:
        """`sock` is non-blocking. `on_report` answers whether a zygote would say that. `on_lost` is called when nothing
        more can come or go, or what came was no zygote's; it is to close this.
        """
        self._sock = sock
        self._on_report = on_report
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._open = True
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def send(self, data: bytes, descriptors: list[int]) -> None:
        """Send a framed request, and with it the descriptors, which are ours no more."""
        self._outbox.append((data, descriptors))
        self._flush()

    def end(self) -> None:
        """Say that nothing more comes: the zygote ends what it has, reports it, and closes its own half."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of it, and of what was not sent."""
        self._open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, descriptors in self._outbox:
            for descriptor in descriptors:
                os.close(descriptor)
        self._outbox.clear()

    def _flush(self) -> None:
        while self._outbox and self._open:
            data, descriptors = self._outbox[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                sent = self._sock.sendmsg([data], rights)
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self._on_lost()
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if sent < len(data):
                self._outbox[0] = (data[sent:], [])
            else:
                self._outbox.popleft()
        if self._open:
            self._loop.remove_writer(self._sock.fileno())

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
            reports = [report_decoder.decode(body) for body in self._frames.feed(data)]
        except BlockingIOError:
            return
        except (OSError, ValueError):  # msgspec's DecodeError is a ValueError: whoever sends that is no zygote of ours
            data, reports = b"", []
        if not all(map(self._on_report, reports)) or not data:
            self._on_lost()
