"""The client: which home it takes, what it does where no kernel answers, and what it makes of a strange one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import control
from prytany.abi.errors import Eacces, Eagain, Ebusy, Einval, Eio, Enoent, Epipe, Esrch, Etimedout
from prytany.abi.limits import CONTROL_REQUEST_BYTES_MAX
from prytany.cli.attached import silence
from prytany.client import Client, attach, link
from prytany.client.holder import Holder
from prytany.drivers.clocks.system import SystemClock
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.home import Home
from prytany.system.shard import Shard


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that a kernel ran in, with nothing in it."""

    async def once() -> None:
        shard = await Shard.open(tmp_path / "home", {}, runners=lambda logs: {})
        await shard.close()

    asyncio.run(once())
    return tmp_path / "home"


def head(home: Path) -> int:
    reader = SqliteReader(home / "journal.db")
    row = reader.head()
    reader.close()
    return row.seq if row else 0


def use(home: Path, action: Callable[[Client], Any]) -> Any:
    async def session() -> Any:
        client = await attach(home)
        try:
            return await asyncio.wait_for(action(client), 20)
        finally:
            await client.close()

    return asyncio.run(session())


def test_nobody_is_attached_to_what_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name, error in (("none", Enoent), ("file", Einval), ("empty", Enoent)):
        with pytest.raises(error):
            use(tmp_path / name, lambda client: client.ps())
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_stopped_home_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prytany.client.client.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(Eacces):
        use(home, lambda client: client.ps())


def test_looking_at_a_stopped_home_records_nothing_and_wants_no_lock(home: Path) -> None:
    before = head(home)
    lock = Home(home)
    status = use(home, lambda client: client.status())
    assert (status.os_pid, status.head) == (0, before)
    assert use(home, lambda client: client.ps()) == []
    assert use(home, lambda client: client.incidents()) == []
    with pytest.raises(Esrch):
        use(home, lambda client: client.inspect(1))
    lock.close()
    for command in (lambda c: c.wait(1), lambda c: c.signal(1, 15), lambda c: c.settle(1, 1, "skip")):
        with pytest.raises(Esrch):
            use(home, command)
    assert head(home) == before


def test_a_stopped_home_that_is_busy_for_a_moment_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Home(home)

    async def moment(self: SystemClock, deadline_ns: int) -> None:
        lock.close()

    monkeypatch.setattr(SystemClock, "sleep_until", moment)
    with pytest.raises(Esrch):
        use(home, lambda client: client.signal(1, 15))


def test_a_home_whose_holder_does_not_listen_is_busy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Home(home)
    moments: list[int] = []

    async def moment(self: SystemClock, deadline_ns: int) -> None:
        moments.append(deadline_ns)

    monkeypatch.setattr(SystemClock, "sleep_until", moment)
    with pytest.raises(Ebusy) as refused:
        use(home, lambda client: client.signal(1, 15))
    assert refused.value.detail["pid"] == os.getpid()
    assert moments
    lock.close()


def strange(home: Path, says: Callable[[socket.socket], object]) -> threading.Thread:
    """Something else than a kernel listens in the home."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home / "control"))
    listening.listen(1)

    def serve() -> None:
        with listening, listening.accept()[0] as peer, suppress(ConnectionResetError):
            says(peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def drain(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass


def raw(sent: bytes) -> Callable[[socket.socket], object]:
    def says(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(sent)
        drain(peer)

    return says


def answer(*message: object) -> Callable[[socket.socket], object]:
    return raw(control.encode_message(message))


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (lambda peer: peer.recv(1), Epipe),
        (raw(b"HTTP/1.1 400\r\n"), Eio),
        (raw(b"\xff\xff\xff\xff"), Eio),
        (raw(b"\x02\x00\x00\x00\x91\xa1"), Eio),
        (answer(1, "", "no status"), Eio),
        (answer(1, "EAGAIN", 7), Eio),
        (answer(1, "ENEW", ["a newer kernel's", {}]), Eio),
        (answer(0, "EAGAIN", ["too many", {}]), Eagain),
        (answer(0, "", None), Eio),
    ],
)
def test_what_answers_strangely_is_an_errno(
    home: Path, says: Callable[[socket.socket], object], error: type[Exception]
) -> None:
    thread = strange(home, says)
    with pytest.raises(error):
        use(home, lambda client: client.status())
    thread.join(10)


def test_a_kernel_that_does_not_answer_is_not_waited_for_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ANSWER_S", 0.01)

    thread = strange(home, drain)
    with pytest.raises(Etimedout):
        use(home, lambda client: client.status())
    thread.join(10)


@pytest.fixture
def stopped() -> Generator[int]:
    """A process that was stopped, as with Ctrl-Z."""
    with subprocess.Popen(["sleep", "600"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        yield process.pid
        process.kill()


def test_of_a_kernel_that_is_stopped_a_look_says_so_and_gives_up_early(
    home: Path, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    monkeypatch.setattr(link, "SILENT_S", 0.01)
    monkeypatch.setattr(link, "STOPPED_S", 0.02)
    (home / "lock").write_text(f"{stopped}\n")
    told: list[Holder] = []

    async def look(client: Client) -> None:
        client.on_silence = told.append
        await client.ps()

    thread = strange(home, drain)
    with pytest.raises(Etimedout, match="it is stopped") as raised:
        use(home, look)
    thread.join(10)
    assert told == [Holder(stopped, True)]
    assert raised.value.__notes__ == [f"let it go on with: kill -CONT {stopped}"]
    assert f"kill -CONT {stopped}" in silence(told[0])


def test_a_kernel_that_is_slow_is_told_of_and_who_it_is_where_that_is_known(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SILENT_S", 0.01)
    monkeypatch.setattr(link, "ANSWER_S", 0.05)
    told: list[Holder] = []

    async def kill(client: Client) -> None:
        client.on_silence = told.append
        with pytest.raises(Etimedout):
            await client.signal(1, 15)

    for pid in (os.getpid(), 0):
        (home / "lock").write_text(f"{pid or 'nobody'}\n")
        (home / "control").unlink(missing_ok=True)
        thread = strange(home, drain)
        use(home, kill)
        thread.join(10)
        assert told == [Holder(pid, False)]
        assert ("kill -CONT" in silence(told.pop())) == (pid > 0)


def test_a_command_that_is_too_large_or_cannot_be_sent_is_refused_before_it_is(home: Path) -> None:
    thread = strange(home, lambda peer: peer.recv(1))

    async def sending(client: Client) -> None:
        for value in ("x" * CONTROL_REQUEST_BYTES_MAX, object(), 1 << 70, "\ud800"):
            with pytest.raises(Einval):
                await client.settle(1, 1, "give", value)

    use(home, sending)
    thread.join(10)
