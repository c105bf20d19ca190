"""What a kernel says to a service manager, whatever stands in the environment, and whoever listens or does not."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prytany.abi.errors import Eio
from prytany.system import service_manager as module
from prytany.system.announcing import Announcer
from prytany.system.service_manager import ServiceManager
from tests.simulation.looped import looped


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield listener


def heard(listener: socket.socket) -> list[list[str]]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(65_536).decode().splitlines())
        except BlockingIOError:
            return messages


def taken(address: str, **more: str) -> ServiceManager:
    environment = {"NOTIFY_SOCKET": address, "KEPT": "yes", **more}
    service = ServiceManager.take(environment)
    assert environment == {"KEPT": "yes"}
    return service


def test_nothing_is_said_where_nobody_listens() -> None:
    service = ServiceManager.take({})
    service.tell(READY=1)
    assert (service.there, service.fault, service.watchdog_ns) == (False, "", 0)


def test_a_message_is_one_datagram_of_lines(manager: socket.socket) -> None:
    service = taken(manager.getsockname())
    service.tell(READY=1, STATUS="up\nSTOPPING=1  and so on")
    assert heard(manager) == [["READY=1", "STATUS=up STOPPING=1 and so on"]]
    service.close()
    service.tell(READY=1)
    assert heard(manager) == []


def test_an_abstract_name_is_one() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind("\0prytany-test-notify-" + str(os.getpid()))
        taken("@" + listener.getsockname()[1:].decode()).tell(READY=1)
        assert heard(listener) == [["READY=1"]]


@pytest.mark.parametrize("address", ["relative", "@", "vsock:2:1234", "/" + "x" * 200, "@" + "x" * 107, "-", " /x"])
def test_an_address_that_is_none_is_said_and_stops_nothing(address: str) -> None:
    service = taken(address, WATCHDOG_USEC="1000000")
    service.tell(READY=1)
    assert "neither a path nor an abstract name" in service.fault
    assert (service.there, service.watchdog_ns) == (False, 0)


@pytest.mark.parametrize("made", [None, Path.touch, Path.mkdir], ids=["missing", "file", "folder"])
def test_a_socket_that_is_none_is_said_once(tmp_path: Path, made: Callable[[Path], None] | None) -> None:
    if made is not None:
        made(tmp_path / "notify")
    service = taken(str(tmp_path / "notify"))
    service.tell(READY=1)
    fault = service.fault
    service.tell(STATUS="up")
    assert fault.startswith("the service manager cannot be told")
    assert service.fault == fault


def test_what_a_full_socket_does_not_take_is_said_with_the_next_word(manager: socket.socket) -> None:
    service = taken(manager.getsockname())
    sent = 0
    while not service.fault:
        service.tell(STATUS=f"{sent}", WATCHDOG=1)
        sent += 1
        assert sent < 100_000
    service.tell(READY=1)
    assert len(heard(manager)) == sent - 1
    service.tell(STATUS="last")
    assert heard(manager) == [["STATUS=last", "READY=1"]]


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("30000000", "", 30_000_000_000), ("30000000", str(os.getpid()), 30_000_000_000), ("30000000", "1", 0),
        ("", "", 0), ("-5", "", 0), ("1e6", "", 0), ("٣", "", 0), ("9" * 30, "", 0), ("0", "", 0),
    ],
)  # fmt: skip
def test_the_watchdog_is_ours_or_none(tmp_path: Path, microseconds: str, pid: str, expected: int) -> None:
    assert taken(str(tmp_path), WATCHDOG_USEC=microseconds, WATCHDOG_PID=pid).watchdog_ns == expected


def test_a_start_that_works_is_given_more_time_and_one_that_stands_still_is_not(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORD_S", 0.0)
    manager.setblocking(True)
    service = taken(manager.getsockname())
    used, asked = iter([1, 2, 2, 2, 3]), threading.Event()

    def clock() -> int:
        try:
            return next(used)
        except StopIteration:
            asked.set()
            return 3

    monkeypatch.setattr(module, "_clock_of_this_thread", lambda: clock)
    with service.starting("opening the journal"):
        assert asked.wait(10)
    manager.setblocking(False)
    messages = heard(manager)
    assert messages[0] == ["STATUS=opening the journal"]
    assert messages[1:] == [[f"EXTEND_TIMEOUT_USEC={module.EXTENDED_US}"]] * 3


class Committer:
    """A journal's answers to whether its committer is there."""

    def __init__(self) -> None:
        self.turns: list[asyncio.Future[None]] = []
        self.shrinking = False
        self.broken = False

    def turn(self) -> asyncio.Future[None]:
        if self.broken:
            raise Eio("broken")
        self.turns.append(asyncio.get_running_loop().create_future())
        return self.turns[-1]


@looped
async def test_a_sign_of_life_needs_a_committer_that_comes_round(manager: socket.socket) -> None:
    journal: Any = Committer()
    announcer = Announcer(taken(manager.getsockname(), WATCHDOG_USEC="60000000"), journal, lambda: "up")
    announcer.ready()
    alive = []
    for moment in range(6):
        heard(manager)
        if moment in (1, 2, 5):
            journal.turns[-1].set_result(None)
        announcer.look()
        alive.append(heard(manager) != [])
    # It came round twice, then it stood still for two beats, and then it went on.
    assert alive == [True, True, True, False, False, True]
    journal.shrinking = True
    announcer.look()
    assert heard(manager) == [["WATCHDOG=1"]]
    journal.shrinking = False
    journal.turns[-1].set_exception(Eio("broken"))
    announcer.look()
    journal.broken = True
    announcer.look()
    assert heard(manager) == []
    announcer.close()


@looped
async def test_the_kernel_says_when_it_is_ready_what_it_does_and_that_it_stops(manager: socket.socket) -> None:
    journal: Any = Committer()
    status = ["one"]
    announcer = Announcer(taken(manager.getsockname()), journal, lambda: status[0])
    announcer.begin()
    assert heard(manager) == [["STATUS=one", "EXTEND_TIMEOUT_USEC=60000000"]]
    announcer.ready()
    announcer.look()
    status[0] = "two"
    announcer.look()
    announcer.reloading()
    ((reloading, at),) = heard(manager)[2:]
    assert (reloading, at.partition("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
    assert 0 < int(at.partition("=")[2]) < 1 << 60
    announcer.ready()
    announcer.stopping(10)
    assert heard(manager) == [
        ["READY=1", "STATUS=two"], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=40000000"],
    ]  # fmt: skip
    announcer.close()
