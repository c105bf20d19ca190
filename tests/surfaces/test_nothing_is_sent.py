"""Nothing is sent anywhere unasked: a day's work under a watcher of every socket, native code and children included."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from prytany.drivers.models.weights import find_weights
from tests.surfaces.watcher import Asked, Watched, watch
from tests.tidy.repository import ROOT

DAY = ROOT / "tests" / "surfaces" / "programs" / "a_day.py"
NAME_SERVICE = "/var/run/nscd/socket"
"""Of the machine itself: the C library looks there for who a uid is, before it reads /etc/passwd."""
SENDS = """
import ctypes, os, socket

def tried(send):
    try:
        send()
    except OSError as error:
        print(error.strerror)

there = ("192.0.2.1", 9)  # a place that is nobody's: RFC 5737
tried(lambda: socket.socket().connect(there))
tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", there))
tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, there))
tried(lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("2001:db8::1", 9)))
tried(lambda: socket.socket(socket.AF_UNIX).connect("nowhere"))
if os.fork():
    os.wait()
else:
    libc = ctypes.CDLL(None, use_errno=True)
    address = socket.AF_INET.to_bytes(2, "little") + (9).to_bytes(2) + socket.inet_aton("192.0.2.2") + bytes(8)
    assert libc.connect(libc.socket(2, 1, 0), address, len(address)) == -1
    print(os.strerror(ctypes.get_errno()), flush=True)
    os._exit(0)
"""


def watched(tmp_path: Path, *command: str) -> Watched:
    """A command under the watcher, for somebody who has set nothing; skipped where Linux cannot be asked to watch."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PRYTANY_")}
    environment["PYTHONPATH"] = str(ROOT)
    try:
        return watch([sys.executable, *command], tmp_path, environment)
    except (OSError, ValueError) as error:
        pytest.skip(f"this machine lets nobody watch: {error}")


def test_the_watcher_sees_who_sends_and_refuses_it(tmp_path: Path) -> None:
    seen = watched(tmp_path, "-c", SENDS)
    assert seen.code == 0, seen.said
    assert sorted(one.place for one in seen.asked if one.leaves) == [
        "192.0.2.1:9", "192.0.2.1:9", "192.0.2.1:9", "192.0.2.2:9", "[2001:db8::1]:9",
    ]  # fmt: skip
    assert {one.call for one in seen.asked if one.leaves} == {"connect", "sendto", "sendmsg"}
    assert ("connect", socket.AF_UNIX, "nowhere") in {one[:3] for one in seen.asked}
    assert seen.said.count("Network is unreachable") == 5


def unexpected(asked: list[Asked], control: str) -> list[Asked]:
    """What is neither the home's own socket, nor a part of asking the model on this machine."""

    def is_of_the_model(one: Asked) -> bool:
        own = "prytany/drivers/models/local_server.py" in one.program and not one.place
        return own or ("local" in one.program.split() and (not one.place or one.place.startswith("127.0.0.1:")))

    return [
        one
        for one in asked
        if not (one.family == socket.AF_UNIX and one.place in (control, NAME_SERVICE))
        and not (one.family == socket.AF_INET and is_of_the_model(one))
    ]


def models_of(asked: list[Asked]) -> dict[str, set[str]]:
    """By program, the places beyond itself that it called."""
    found: dict[str, set[str]] = {}
    for one in asked:
        if one.family == socket.AF_INET and one.place:
            found.setdefault(one.program, set()).add(one.place)
    return found


def test_a_day_s_work_asks_for_no_socket_but_the_home_s_and_the_model_s(tmp_path: Path) -> None:
    local = find_weights() is not None
    day = watched(tmp_path, str(DAY), str(ROOT / "examples"), *(["--local"] if local else []))
    assert day.code == 0, day.said
    assert [one for one in day.asked if one.leaves] == []
    control = f"{tmp_path}/.prytany/control"
    assert unexpected(day.asked, control) == []
    assert any(one.place == control for one in day.asked)
    assert [len(places) for places in models_of(day.asked).values()] == [1] * local


@pytest.mark.slow
def test_the_demo_with_its_model_calls_one_port_of_this_machine(tmp_path: Path) -> None:
    if find_weights() is None:
        pytest.skip("the embedded model is not here: prytany models fetch")
    day = watched(tmp_path, str(DAY), str(ROOT / "examples"), "--digest")
    assert day.code == 0, day.said
    assert [one for one in day.asked if one.leaves] == []
    assert unexpected(day.asked, f"{tmp_path}/.prytany/control") == []
    assert [len(places) for places in models_of(day.asked).values()] == [1]
