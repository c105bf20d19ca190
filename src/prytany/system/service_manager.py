"""What a kernel says to the service manager that started it: systemd's notify protocol, by one datagram a message.

Nothing is done where NOTIFY_SOCKET is not set. What it and its like say is taken out of the environment, so that no
program, tool or command that a kernel starts can speak in its name. A socket that is not there, is full or is no socket
stops nothing: it is said once, and what was not taken is said again with the next message.

Must not block: the kernel's loop sends. Source: sd_notify(3), systemd.service(5).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager

EXTENDED_US = 60_000_000
"""How long a start may go on from each word that it does."""
WORD_S = 5.0
"""Between two such words."""
PATH_BYTES_MAX = 107
_NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class ServiceManager:
    """One service manager, or none. `fault` is what keeps it from hearing, in words."""

    def __init__(self, address: str = "", watchdog_us: int = 0, fault: str = "") -> None:
        """Nothing is sent yet.

        Args:
            address: a path, or `@` and an abstract name; "" is none.
            watchdog_us: within which it wants a sign of life; 0 is never.
            fault: what is wrong with what it said.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_us = watchdog_us
        self._waiting: dict[str, str] = {}
        self.fault = fault

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """What the environment says of a service manager, taken out of it."""
        said = {name: environment.pop(name, "") for name in _NAMES}
        address, mine = said["NOTIFY_SOCKET"], said["WATCHDOG_PID"] in ("", str(os.getpid()))
        if not address:
            return cls()
        if address[0] not in "/@" or len(os.fsencode(address)) > PATH_BYTES_MAX or address == "@":
            return cls(fault="NOTIFY_SOCKET is neither a path nor an abstract name, or too long: nobody is told")
        microseconds = said["WATCHDOG_USEC"]
        usable = mine and microseconds.isascii() and microseconds.isdigit() and len(microseconds) < 19
        return cls(address, int(microseconds) if usable else 0)

    @property
    def there(self) -> bool:
        """Whether somebody wants to hear."""
        return bool(self._address)

    @property
    def watchdog_ns(self) -> int:
        """Within which it wants a sign of life; 0 is never."""
        return self._watchdog_us * 1_000

    def tell(self, **fields: str | int) -> None:
        """Say it, with what could not be said before; the newest word for each name."""
        if not self._address:
            return
        self._waiting |= {name: " ".join(str(value).split()) for name, value in fields.items()}
        if not self._waiting:
            return
        message = "".join(f"{name}={value}\n" for name, value in self._waiting.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            self._waiting.pop("WATCHDOG", None)  # a sign of life is of its moment
            self.fault = self.fault or f"the service manager cannot be told: {error.strerror or error}"
        else:
            self._waiting.clear()

    @contextmanager
    def starting(self, what: str) -> Generator[None]:
        """While the calling thread does something that takes long and turns no loop: the time that it may take is
        extended for as long as it uses the processor. What stands still is not, and the manager ends it."""
        self.tell(STATUS=what)
        if not self._address:
            yield
            return
        done, used_ns = threading.Event(), _clock_of_this_thread()

        def extend() -> None:
            before = -1
            while not done.wait(WORD_S):
                now = used_ns()
                if now > before:
                    self.tell(EXTEND_TIMEOUT_USEC=EXTENDED_US)
                before = now

        thread = threading.Thread(target=extend, name="prytany-notify", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self) -> None:
        """No more is said."""
        self._address = ""


def _clock_of_this_thread() -> Callable[[], int]:
    """What reads how long this thread has used the processor, nanoseconds, from another."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return lambda: 0
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime_ns(clock)
