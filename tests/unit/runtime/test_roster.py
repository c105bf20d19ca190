"""What survived its kernel is ended before anything else, and nothing that only looks like it."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from prytany.runtime import pids
from prytany.runtime.launcher import Launcher
from prytany.runtime.roster import Roster, kill_leftovers
from tests.unit.runtime.runtime_harness import spec, with_launcher

pytestmark = pytest.mark.skipif(not pids.start_time_of(os.getpid()), reason="no start times on this machine")
Child = subprocess.Popen[bytes]


@pytest.fixture
def leftover() -> Iterator[Child]:
    """A process that leads its own session and dies with nobody, as a worker does that missed its kernel's end."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        yield child
        child.kill()


def pair(child: Child) -> tuple[int, int]:
    return child.pid, pids.start_time_of(child.pid) or 0


def left_by_a_kernel(path: Path, *pairs: tuple[int, int]) -> Roster:
    """The roster of a kernel that was killed: nothing was taken out and nothing closed."""
    roster = Roster(path)
    roster.end_leftovers()
    for one in pairs:
        roster.add(*one)
    return roster


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_that_survived_its_kernel_is_gone_when_the_next_goes_on(
    tmp_path: Path, leftover: Child, stopped: bool
) -> None:
    if stopped:
        os.kill(leftover.pid, signal.SIGSTOP)
    left_by_a_kernel(tmp_path / "workers", pair(leftover))
    assert Roster(tmp_path / "workers").end_leftovers() == 1
    assert leftover.poll() == -signal.SIGKILL
    assert Roster(tmp_path / "workers").end_leftovers() == 0


def test_a_process_that_has_the_number_and_another_start_is_left_alone(tmp_path: Path, leftover: Child) -> None:
    os_pid, start_time = pair(leftover)
    left_by_a_kernel(tmp_path / "workers", (os_pid, start_time + 1), (os_pid, start_time - 1))
    assert Roster(tmp_path / "workers").end_leftovers() == 0
    assert leftover.poll() is None


def test_a_process_that_leads_no_session_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        left_by_a_kernel(tmp_path / "workers", pair(child))
        assert Roster(tmp_path / "workers").end_leftovers() == 0
        assert child.poll() is None
        child.kill()


def test_a_roster_of_another_boot_says_nothing(
    tmp_path: Path, leftover: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(pids, "boot_id", lambda: "another")
        left_by_a_kernel(tmp_path / "workers", pair(leftover))
    assert Roster(tmp_path / "workers").end_leftovers() == 0
    assert leftover.poll() is None


@pytest.mark.parametrize("damage", [b"", b"\0" * 4096, b"\xff\xfe garbage\n", b"prytany roster 9 x\n1 1\n"])
def test_a_damaged_roster_is_begun_anew_and_said(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "workers"
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert Roster(path).end_leftovers() == 0
    assert "damaged" in caplog.text
    assert path.read_text() == f"prytany roster 1 {pids.boot_id()}\n"


def test_lines_that_are_damaged_do_not_hide_the_sound_ones(
    tmp_path: Path, leftover: Child, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "workers"
    os_pid, start_time = pair(leftover)
    lines = ["-1 5", "0 5", "1 99999999999999999999", f"{1 << 40} 5", "x", f"{os_pid} {start_time}", f"{os_pid}"]
    path.write_text("\n".join([f"prytany roster 1 {pids.boot_id()}", *lines]))
    with caplog.at_level(logging.WARNING):
        assert Roster(path).end_leftovers() == 1
    assert "damaged in part" in caplog.text


def test_a_link_in_place_of_the_roster_is_not_followed(tmp_path: Path, leftover: Child) -> None:
    elsewhere = tmp_path / "elsewhere"
    left_by_a_kernel(elsewhere, pair(leftover))
    before = elsewhere.read_bytes()
    (tmp_path / "workers").symlink_to(elsewhere)
    assert Roster(tmp_path / "workers").end_leftovers() == 0
    assert leftover.poll() is None
    assert elsewhere.read_bytes() == before
    assert not (tmp_path / "workers").is_symlink()


def test_the_file_is_private_and_stays_short_however_many_come_and_go(tmp_path: Path, leftover: Child) -> None:
    path = tmp_path / "workers"
    roster = left_by_a_kernel(path, pair(leftover))
    for number in range(2, 3_000):
        roster.add(1 << 30, number)
        roster.remove(1 << 30, number)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text().splitlines()
    assert len(lines) < 1_000
    assert f"{leftover.pid} {pair(leftover)[1]}" in lines


def test_a_launcher_enters_its_zygote_and_its_workers_and_takes_out_who_has_ended() -> None:
    class Noted:
        def __init__(self) -> None:
            self.alive: set[tuple[int, int]] = set()
            self.seen = 0

        def add(self, os_pid: int, start_time: int) -> None:
            assert pids.start_time_of(os_pid) == start_time
            self.alive.add((os_pid, start_time))
            self.seen += 1

        def remove(self, os_pid: int, start_time: int) -> None:
            self.alive.discard((os_pid, start_time))

    noted = Noted()

    async def body(launcher: Launcher) -> None:
        handle = await launcher.fork(spec())
        assert (handle.os_pid, handle.start_time) in noted.alive
        assert launcher.zygote_pid in {os_pid for os_pid, _ in noted.alive}
        launcher.kill(handle)
        await handle.exited
        assert (handle.os_pid, handle.start_time) not in noted.alive
        handle.sock.close()
        os.close(handle.output_fd)

    with_launcher(body, roster=noted)
    assert noted.seen == 2
    assert not noted.alive


def test_a_roster_cannot_name_the_session_of_who_reads_it(monkeypatch: pytest.MonkeyPatch, leftover: Child) -> None:
    # A tampered roster that names the operator's shell, or the kernel itself where that leads a session.
    monkeypatch.setattr(os, "getsid", lambda os_pid: leftover.pid)
    assert kill_leftovers([pair(leftover)]) == 0
    assert leftover.poll() is None


def test_a_process_of_another_user_is_none_of_ours(monkeypatch: pytest.MonkeyPatch, leftover: Child) -> None:
    def refuse(os_pid: int, start_time: int, number: int) -> bool:
        raise PermissionError

    monkeypatch.setattr(pids, "send_signal", refuse)
    assert kill_leftovers([pair(leftover)]) == 0
