"""What a confined worker cannot do, each tried in a real one, and what it still can."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path
from typing import cast

import pytest

from prytany.abi import limits
from prytany.runtime import landlock
from prytany.runtime.launcher import Launcher
from tests.unit.runtime.runtime_harness import PROBES_FILE, ask, release, spec, with_launcher

pytestmark = pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")

REFUSED = (errno.EPERM, errno.EACCES)
DENIED = [
    ("read", "/etc/passwd"), ("read", "/etc/shadow"), ("list", "/"), ("list", "/etc"), ("list", "/tmp"),
    ("read", "/proc/self/status"), ("read", "/proc/1/cmdline"), ("list", "/proc"), ("read", "/dev/zero"),
    ("write", "/tmp/prytany-probe"), ("write", "/dev/shm/prytany-probe"), ("write", "/dev/null"),
    ("write", PROBES_FILE), ("truncate", PROBES_FILE), ("chmod", PROBES_FILE), ("unlink", PROBES_FILE),
    ("mkdir", "/tmp/prytany-probe"), ("tcp", ""), ("tcp6", ""), ("udp", ""), ("raw", ""), ("netlink", ""),
    ("unix", ""), ("unix_datagram", ""), ("pair_datagram", ""), ("pair_connect", "/run/x"), ("fork", ""),
    ("vfork", ""), ("clone", ""), ("exec", "/bin/true"), ("execveat", ""), ("ptrace", ""), ("process_vm_readv", ""),
    ("pidfd_open", ""), ("kill_parent", ""), ("kill_init", ""), ("kill_all", ""), ("tgkill_parent", ""),
    ("prlimit_parent", ""), ("fcntl_owner", ""), ("forget_parent_death", ""), ("unshare", ""), ("setns", ""),
    ("mount", ""), ("chroot", ""), ("bpf", ""), ("io_uring", ""), ("keyctl", ""), ("perf", ""), ("userfaultfd", ""),
    ("setuid", ""), ("tiocsti", ""), ("unknown", ""),
]  # fmt: skip
CAN = [("pair", ""), ("thread", ""), ("loop", ""), ("import", ""), ("allocate", "256"), ("read", "/dev/urandom")]
Answers = dict[tuple[str, str], object]


def caught_by(os_pid: int) -> int:
    """The signals that a process has a handler for, as bits."""
    status = Path(f"/proc/{os_pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.fixture(scope="module")
def answers() -> Answers:
    async def body(launcher: Launcher) -> Answers:
        handle = await launcher.fork(spec())
        probes = [*DENIED, *CAN, ("clone3", ""), ("allocate", "2048")]
        found = {(name, argument): await ask(handle, name, argument) for name, argument in probes}
        for fact in ("descriptors", "environment", "c_environment", "uids", "terminal", "group"):
            found[fact, ""] = await ask(handle, fact)
        if os.geteuid() == 0:
            found["threads", ""] = await ask(handle, "threads")
        found["caught", ""] = caught_by(handle.os_pid)
        release(handle)
        return found

    return with_launcher(body)


@pytest.mark.parametrize("probe", DENIED, ids=" ".join)
def test_a_worker_is_denied(answers: Answers, probe: tuple[str, str]) -> None:
    assert answers[probe] in REFUSED


@pytest.mark.parametrize("probe", CAN, ids=" ".join)
def test_a_worker_can(answers: Answers, probe: tuple[str, str]) -> None:
    assert answers[probe] == 0


def test_clone3_is_unknown_so_that_flags_of_clone_are_checked(answers: Answers) -> None:
    assert answers["clone3", ""] == errno.ENOSYS


def test_a_lower_bound_of_the_operators_stays() -> None:
    async def body(launcher: Launcher) -> tuple[object, object]:
        await launcher.start()
        assert launcher.zygote_pid is not None
        for kind, most in ((resource.RLIMIT_AS, 600 << 20), (resource.RLIMIT_NPROC, 100), (resource.RLIMIT_NOFILE, 40)):
            resource.prlimit(launcher.zygote_pid, kind, (most, most))
        handle = await launcher.fork(spec())
        found = await ask(handle, "loop"), await ask(handle, "allocate", "800")
        release(handle)
        return found

    assert with_launcher(body) == (0, errno.ENOMEM)


def test_two_gigabytes_are_a_memory_error(answers: Answers) -> None:
    assert answers["allocate", "2048"] == errno.ENOMEM


def test_a_worker_holds_stdio_and_its_socket_only(answers: Answers) -> None:
    assert answers["descriptors", ""] == [0, 1, 2, 3]


def test_a_worker_does_not_catch_what_its_zygote_does(answers: Answers) -> None:
    assert not cast(int, answers["caught", ""]) & 1 << signal.SIGCHLD - 1


def test_a_worker_has_no_environment(answers: Answers) -> None:
    assert answers["environment", ""] == {}
    assert answers["c_environment", ""] is True


def test_a_worker_has_no_terminal_and_a_group_of_its_own_in_a_session_that_is_not_its_own(answers: Answers) -> None:
    assert answers["terminal", ""] == [False, False, False]
    assert answers["group", ""] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives uids")
def test_two_live_workers_never_share_a_uid() -> None:
    async def body(launcher: Launcher) -> list[object]:
        handles = [await launcher.fork(spec()) for _ in range(3)]
        uids = [await ask(handle, "uids") for handle in handles]
        release(*handles)
        return uids

    uids = with_launcher(body)
    assert all(isinstance(found, list) and len(set(found)) == 1 and found[0] >= 200_000 for found in uids)
    assert len({str(found) for found in uids}) == 3


def test_a_granted_folder_is_read_by_its_worker_and_by_no_other(tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text("x = 1\n")
    program.chmod(0o600)
    tmp_path.chmod(0o700)

    async def body(launcher: Launcher) -> list[object]:
        granted, other = await launcher.fork(spec(str(tmp_path))), await launcher.fork(spec())
        found = [
            await ask(granted, "read", str(program)),
            await ask(granted, "list", str(tmp_path)),
            await ask(granted, "write", str(program)),
            await ask(granted, "read", "/etc/passwd"),
            await ask(other, "read", str(program)),
        ]
        release(granted, other)
        return found

    readable, listed, written, elsewhere, by_other = with_launcher(body)
    assert (readable, listed) == (0, 0)
    assert written in REFUSED
    assert elsewhere in REFUSED
    assert by_other in REFUSED


def test_a_granted_file_is_granted_alone() -> None:
    async def body(launcher: Launcher) -> tuple[object, object]:
        handle = await launcher.fork(spec("/etc/passwd"))
        found = await ask(handle, "read", "/etc/passwd"), await ask(handle, "read", "/etc/group")
        release(handle)
        return found

    passwd, group = with_launcher(body)
    assert passwd == 0
    assert group in REFUSED


@pytest.mark.parametrize("abi", range(1, landlock.abi_version() + 1))
def test_a_ruleset_of_every_older_version_is_accepted(abi: int) -> None:
    os.close(landlock.build(["/usr", "/dev/null"], ["/tmp"], abi=abi))


@pytest.mark.skipif(os.geteuid() != 0, reason="a uid that is the operator's too cannot be bounded")
def test_a_worker_cannot_take_every_thread_of_the_machine(answers: Answers) -> None:
    started, code = cast(list[int], answers["threads", ""])
    assert code == errno.EAGAIN
    assert 0 < started <= limits.WORKER_THREADS_MAX
