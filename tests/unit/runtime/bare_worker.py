"""The entry of a worker as `runtime_loop/kernel_end.py` starts it, whose program talks to the loop: but forked."""

from __future__ import annotations

import socket

from prytany.runtime import worker


def main(sock: socket.socket) -> int:
    """Run the program that is named on `sock`."""
    return worker.main(sock, lambda loop, start: loop)
