"""What a worker weighs: by class, below its kernel, with all its threads and children; and what is refused is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prytany.runtime import landlock, pids, priority
from prytany.runtime.confined import ConfinedWorker
from prytany.runtime.launcher import Launcher
from prytany.runtime.messages import WorkerSpec
from tests.unit.runtime.runtime_harness import ask, release, tell, with_launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="weights are Linux's")
CLASSES = range(4)
FAMILY = """
import os, threading
os.setpgid(0, 0)
child = os.fork()
if child:
    threading.Thread(target=os.read, args=(0, 1)).start()
    print(child, flush=True)
os.read(0, 1)
"""


def nice_of(os_pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, os_pid)


def group_of(os_pid: int) -> int | None:
    """How nice its session is as a group; None where sessions are none."""
    if not priority.sessions_are_groups():
        return None
    return int(Path(f"/proc/{os_pid}/autogroup").read_text().split()[-1])


@pytest.fixture
def family() -> Iterator[tuple[int, list[int]]]:
    """A process that leads its group; and every thread of it and of its child."""
    with subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        threads = [int(name) for os_pid in (process.pid, child) for name in os.listdir(f"/proc/{os_pid}/task")]
        yield process.pid, threads
        process.communicate("")


@pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
def test_workers_weigh_less_than_their_kernel_and_less_the_less_urgent_they_are() -> None:
    async def body(launcher: Launcher) -> tuple[list[tuple[int, int]], list[int], int, int | None]:
        handles = [await launcher.fork(WorkerSpec(qos=qos)) for qos in CLASSES]
        for handle in handles:
            await ask(handle, "loop")
        weights = [(nice_of(handle.os_pid), os.sched_getscheduler(handle.os_pid)) for handle in handles]
        zygote = launcher.zygote_pid or 0
        sessions = [os.getsid(handle.os_pid) for handle in handles]
        group = group_of(handles[1].os_pid)
        release(*handles)
        return weights, sessions, zygote, group

    weights, sessions, zygote, group = with_launcher(body)
    assert group == (priority.SESSION_NICE if priority.sessions_are_groups() else None)
    own = nice_of(0)
    assert [nice for nice, _ in weights] == [min(19, own + more) for more in priority.NICE]
    assert own < weights[0][0] < weights[1][0] < weights[2][0] < weights[3][0]
    assert [policy for _, policy in weights] == [os.SCHED_OTHER] * 3 + [os.SCHED_BATCH]
    assert sessions[0] not in (zygote, os.getsid(0))  # what others use up together is not the interactive's
    assert set(sessions[1:]) == {zygote}


def test_a_change_reaches_every_thread_and_every_child(family: tuple[int, list[int]]) -> None:
    os_pid, threads = family
    assert len(threads) == 3
    assert priority.change(os_pid, 3)
    assert {nice_of(thread) for thread in threads} == {priority.nice_of(3)}


def test_what_is_gone_needs_no_weight() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert priority.change(process.pid, 0)
        assert pids.cpu_us_of(process.pid) == 0


ORDINARY = """
import os, resource, sys
from prytany.runtime import priority
resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
said, says = os.pipe()
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    priority.become(1)
    os.write(says, b"x")
    sys.stdin.read()
    os._exit(0)
os.read(said, 1)
print([priority.change(child, qos) for qos in (1, 3, 2, 3)], os.getpriority(os.PRIO_PROCESS, child))
"""


def test_an_ordinary_user_can_lower_a_worker_and_is_told_that_it_cannot_be_raised() -> None:
    ran = subprocess.run([sys.executable, "-c", ORDINARY], input="", capture_output=True, text=True, check=True)
    assert ran.stdout.split("]")[0] == "[True, True, False, True"
    assert int(ran.stdout.split()[-1]) == priority.nice_of(3)


def test_the_kernel_comes_first_and_what_it_starts_does_not_inherit_that() -> None:
    program = (
        "import os, subprocess, sys\n"
        "from prytany.runtime import priority\n"
        "look = lambda of: [l.split()[-1] for l in open(f'/proc/{of}/sched') if l.startswith('se.slice')]\n"
        "before = look('self')\n"
        "priority.come_first()\n"
        "pid = os.fork()\n"
        "pid or (print(look('self') == before), os._exit(0))\n"
        "os.waitpid(pid, 0)\n"
        "print(look('self') == before, before == [])\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    inherits_not, as_before = ran.stdout.splitlines()[0], ran.stdout.splitlines()[1].split()
    assert inherits_not == "True"
    assert as_before[0] == as_before[1]  # a slice of its own, where Linux shows that there are such


@pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
def test_processor_time_is_told_once_whoever_asks_when() -> None:
    class Told:
        left_us = 0

        def on_left(self, pid: int, cpu_us: int) -> None:
            self.left_us += cpu_us

    async def body(launcher: Launcher) -> None:
        host = Told()
        handle = await launcher.fork(WorkerSpec())
        await ask(handle, "loop")
        anybody: object = host
        worker = ConfinedWorker(handle, 1, anybody, launcher, lambda pid, data: None)  # type: ignore[arg-type]
        first, second = worker.take_cpu_us(), worker.take_cpu_us()
        assert first > 0  # what the second finds is what was used in between: it may still be on its way to wait
        await tell(handle, "loop", "")
        worker.kill()
        status = await handle.exited
        assert worker.take_cpu_us() == 0
        await launcher.close()
        assert abs(status.cpu_us - (first + second + host.left_us)) < 1000

    with_launcher(body)
