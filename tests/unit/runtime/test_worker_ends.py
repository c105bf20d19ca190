"""However a worker, its zygote or its kernel ends: it is an exit status, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from types import SimpleNamespace
from typing import Any

import pytest

from prytany.abi.errors import Eio
from prytany.runtime import landlock, pids
from prytany.runtime import launcher as launching
from prytany.runtime.launcher import ExitStatus, Launcher, WorkerHandle, ZygoteDied
from prytany.runtime.roster import kill_leftovers
from prytany.runtime.seccomp import compile_filter
from tests.unit.runtime.runtime_harness import (
    DEADLINE_S,
    ENTRY,
    ask,
    printed,
    release,
    spec,
    tell,
    wait_ended,
    with_launcher,
)

pytestmark = pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
ENDS = [
    ("segfault", None, signal.SIGSEGV), ("abort", None, signal.SIGABRT), ("exit_now", 7, None), ("exit", 9, None),
    ("eat_memory", 1, None), ("raise", 1, None), ("system_exit", 5, None),
]  # fmt: skip


def test_every_end_of_a_worker_is_an_exit_status_and_nothing_else() -> None:
    async def body(launcher: Launcher) -> list[ExitStatus]:
        witness = await launcher.fork(spec())
        found: list[ExitStatus] = []
        for name, _, _ in ENDS:
            handle = await launcher.fork(spec())
            await tell(handle, name, "9")
            found.append(await handle.exited)
            release(handle)
        assert await ask(witness, "loop") == 0
        release(witness)
        return found

    found = with_launcher(body)
    assert [(status.code, status.signal) for status in found] == [(code, number) for _, code, number in ENDS]
    assert all(status.cpu_us > 0 and status.maxrss_kb > 0 for status in found)


def test_a_failure_is_printed_into_its_own_output() -> None:
    async def body(launcher: Launcher) -> str:
        handle = await launcher.fork(spec())
        await tell(handle, "raise")
        await handle.exited
        text = printed(handle)
        release(handle)
        return text

    assert "ValueError" in with_launcher(body)


def test_a_path_that_is_not_there_fails_one_fork_and_not_the_next() -> None:
    async def body(launcher: Launcher) -> object:
        with pytest.raises(Eio):
            await launcher.fork(spec("/nowhere/at/all"))
        handle = await launcher.fork(spec())
        found = await ask(handle, "loop")
        release(handle)
        return found

    assert with_launcher(body) == 0


def test_a_signal_reaches_its_worker_and_a_second_one_nobody() -> None:
    async def body(launcher: Launcher) -> None:
        handle = await launcher.fork(spec())
        assert launcher.kill(handle, signal.SIGTERM)
        assert (await handle.exited).signal == signal.SIGTERM
        assert not launcher.kill(handle)
        assert not pids.send_signal(os.getpid(), 1, signal.SIGKILL)  # a number used again: the start time differs
        release(handle)

    with_launcher(body)


def test_leftovers_are_killed_by_pid_and_start_time_only() -> None:
    async def body(launcher: Launcher) -> None:
        one, two = await launcher.fork(spec()), await launcher.fork(spec())
        assert [await ask(one, "group"), await ask(two, "group")] == [True, True]  # each leads its own by now
        assert kill_leftovers([(one.os_pid, one.start_time), (two.os_pid, two.start_time + 1), (4_194_300, 1)]) == 1
        assert (await one.exited).signal == signal.SIGKILL
        assert await ask(two, "loop") == 0
        release(one, two)

    with_launcher(body)


def test_a_zygote_that_dies_takes_its_workers_and_is_replaced() -> None:
    async def body(launcher: Launcher) -> None:
        first = await launcher.fork(spec())
        pidfd = os.pidfd_open(first.os_pid)
        zygote = launcher.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGKILL)
        assert (await first.exited).signal == signal.SIGKILL
        assert await asyncio.to_thread(wait_ended, pidfd)
        os.close(pidfd)
        second = await launcher.fork(spec())
        assert await ask(second, "loop") == 0
        assert launcher.zygote_pid != zygote
        release(first, second)

    with_launcher(body)


def test_forks_that_wait_for_a_zygote_that_dies_fail() -> None:
    async def body(launcher: Launcher) -> list[object]:
        await launcher.start()
        assert launcher.zygote_pid is not None
        os.kill(launcher.zygote_pid, signal.SIGSTOP)
        forks = [asyncio.ensure_future(launcher.fork(spec())) for _ in range(3)]
        while launcher.pending < 3:  # noqa: ASYNC110 - the forks run in this loop
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        os.kill(launcher.zygote_pid, signal.SIGKILL)
        return list(await asyncio.gather(*forks, return_exceptions=True))

    assert [type(error) for error in with_launcher(body)] == [ZygoteDied] * 3


def test_a_zygote_that_is_killed_while_it_comes_up_is_one_that_died_and_another_can_be_asked() -> None:
    async def body(launcher: Launcher) -> None:
        fork = asyncio.ensure_future(launcher.fork(spec()))
        while launcher.zygote_pid is None:  # noqa: ASYNC110 - it is started in this loop
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        os.kill(launcher.zygote_pid, signal.SIGKILL)
        with pytest.raises(ZygoteDied):
            await fork
        second = await launcher.fork(spec())
        assert await ask(second, "loop") == 0
        release(second)

    with_launcher(body)


def test_a_fork_whose_zygote_dies_as_it_has_come_up_fails_and_leaves_nothing_behind() -> None:
    async def body(launcher: Launcher) -> None:
        start = launcher.start

        async def started_in_vain() -> None:
            await start()
            launcher._lose_zygote()

        before = len(os.listdir("/proc/self/fd"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launcher, "start", started_in_vain)
            with pytest.raises(ZygoteDied):
                await launcher.fork(spec())
        await launcher.close()
        assert len(os.listdir("/proc/self/fd")) == before

    with_launcher(body)


def test_a_fork_that_is_cancelled_as_its_worker_comes_leaves_nothing_behind() -> None:
    async def body(launcher: Launcher) -> list[int]:
        await launcher.start()
        before = len(os.listdir("/proc/self/fd"))
        for turns in range(12):
            fork = asyncio.ensure_future(launcher.fork(spec()))
            for _ in range(turns):
                await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
            while launcher.pending and turns > 8:  # noqa: ASYNC110 - until the very turn in which it comes
                await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
            fork.cancel()
            (made,) = await asyncio.gather(fork, return_exceptions=True)
            if isinstance(made, WorkerHandle):  # it had come before
                release(made)
        await launcher.close()
        return [before, len(os.listdir("/proc/self/fd"))]

    before, after = with_launcher(body)
    assert after <= before


def test_a_zygote_that_cannot_start_says_why() -> None:
    async def body(launcher: Launcher) -> str:
        with pytest.raises(Eio) as caught:
            await launcher.fork(spec())
        return caught.value.message

    assert "no_such_module" in with_launcher(body, entry="no_such_module:main")


def test_closing_the_launcher_ends_every_worker() -> None:
    async def run() -> list[ExitStatus]:
        launcher = Launcher(sys.executable, entry=ENTRY)
        handles = [await launcher.fork(spec()) for _ in range(4)]
        await launcher.close()
        release(*handles)
        return [handle.exited.result() for handle in handles]

    assert [status.signal for status in asyncio.run(run())] == [signal.SIGKILL] * 4


def test_closing_waits_for_the_workers_of_a_zygote_that_died_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        launcher = Launcher(sys.executable, entry=ENTRY)
        handle = await launcher.fork(spec())
        readable, ended = os.pipe()  # in the place of the worker's pidfd: it ends when the test says so
        held: Any = SimpleNamespace(**vars(pids))
        held.open_pidfd = lambda os_pid, start_time: readable
        monkeypatch.setattr(launching, "pids", held)
        assert launcher.zygote_pid is not None
        os.kill(launcher.zygote_pid, signal.SIGKILL)
        while launcher.zygote_pid:  # noqa: ASYNC110 - the launcher hears of it in this loop
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        await asyncio.wait(launcher._reaping)
        closing = asyncio.ensure_future(launcher.close())
        for _ in range(20):
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        assert not closing.done()
        os.close(ended)
        await closing
        assert handle.exited.done()
        release(handle)

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


OWNER = """
import asyncio, sys
from prytany.runtime.launcher import Launcher
from prytany.runtime.messages import WorkerSpec
async def main():
    launcher = Launcher(sys.executable, entry=sys.argv[1])
    handle = await launcher.fork(WorkerSpec())
    print(handle.os_pid, launcher.zygote_pid, flush=True)
    await handle.exited
asyncio.run(main())
"""


def test_workers_end_with_the_kernel_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, ENTRY], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pidfds = [os.pidfd_open(int(number)) for number in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert len(pidfds) == 2
    for pidfd in pidfds:
        assert wait_ended(pidfd)
        os.close(pidfd)


ORDINARY = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from tests.unit.runtime.runtime_harness import ask, release, spec, with_launcher
from tests.unit.runtime.test_confined_worker import CAN, DENIED, REFUSED
async def body(launcher):
    handle = await launcher.fork(spec())
    bad = [probe for probe in DENIED if await ask(handle, *probe) not in REFUSED]
    bad += [probe for probe in CAN if await ask(handle, *probe) != 0]
    uids = await ask(handle, "uids")
    release(handle)
    print(os.geteuid(), sorted(set(uids)), bad)
with_launcher(body)
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="root becomes an ordinary user here")
def test_an_ordinary_users_workers_are_confined_all_the_same() -> None:
    # The one capability lets that user reach an interpreter below /root; it has no part in what is denied.
    become = textwrap.dedent("""
        setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all,+dac_read_search
        --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search
    """).split()
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
    done = subprocess.run([*become, sys.executable, "-c", ORDINARY, root], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "65534 [65534] []", done.stderr


def test_a_worker_starts_where_there_is_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    monkeypatch.setattr(tempfile, "tempdir", None)
    compile_filter(signals_scoped=True)  # what the zygote does, which this cannot be done to

    async def body(launcher: Launcher) -> object:
        handle = await launcher.fork(spec())
        answer = await ask(handle, "loop")
        release(handle)
        return answer

    assert with_launcher(body) == 0
