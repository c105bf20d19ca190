"""Anything at all on the socket between a launcher and its zygote, at either end: it ends that zygote, and no more."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress
from random import Random  # noqa: TID251 seeded
from types import SimpleNamespace
from typing import Any

import pytest

from prytany.abi.errors import Eio
from prytany.runtime import launcher as launching
from prytany.runtime.launcher import Launcher, WorkerHandle
from prytany.runtime.messages import (
    FRAME_BYTES_MAX,
    Exited,
    Failed,
    Fork,
    Ready,
    Report,
    Started,
    WorkerSpec,
    frame,
)
from prytany.runtime.uids import worker_uids
from prytany.runtime.zygote import Zygote
from prytany.runtime.zygote_link import ZygoteLink
from tests.simulation import hostile_frames as hostile
from tests.simulation.looped import looped
from tests.unit.kernel.puppets import one_turn

NOBODY = 1 << 29
"""No process has that number."""


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def report(rng: Random, asked: int) -> bytes:
    """What a zygote says, or nearly."""
    of = rng.choice([asked, asked, 1, asked + 1, *hostile.NUMBERS])
    said: list[Report] = [
        Ready(rng.choice(hostile.NUMBERS)),
        Started(of, NOBODY, 1),
        Started(of, NOBODY, rng.choice(hostile.NUMBERS)),
        Failed(of, rng.choice(hostile.NUMBERS), "why" * rng.choice([1, 50_000])),
        Exited(of, rng.choice([0, None]), rng.choice([9, None]), rng.choice(hostile.NUMBERS), 7),
    ]
    data = frame(rng.choice(said)) if rng.random() < 0.9 else hostile.garbage(rng)
    data = hostile.changed(rng, data) if rng.random() < 0.1 else data
    return data[: rng.randrange(9)] if rng.random() < 0.03 else data


class Told(list[dict[str, Any]]):
    """What the loop's exception handler was told."""

    def __init__(self) -> None:
        super().__init__()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.append(context))


async def against_a_launcher(rng: Random, rounds: int) -> None:
    """One launcher and many zygotes, all of them played here."""
    told, launcher = Told(), Launcher("/nowhere")
    in_use = worker_uids._used - len(worker_uids._free)
    forks: deque[asyncio.Task[WorkerHandle]] = deque()
    handles: list[WorkerHandle] = []
    theirs: socket.socket | None = None
    for number in range(rounds):
        if launcher._link is None:
            if theirs is not None:
                theirs.close()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            launcher._link = ZygoteLink(ours, launcher._on_report, launcher._lose_zygote)
        assert theirs is not None
        if rng.random() < 0.5 and len(forks) < 20:
            forks.append(asyncio.ensure_future(launcher.fork(WorkerSpec())))
        elif forks and rng.random() < 0.2:
            forks.popleft().cancel()
        with suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(theirs, 1 << 16, 64)
            for descriptor in descriptors:
                os.close(descriptor)
        with suppress(OSError):
            theirs.send(report(rng, rng.randrange(max(1, number // 3), number + 2)))
        if rng.random() < 0.02:
            theirs.shutdown(socket.SHUT_RDWR)
        for _ in range(4):
            await one_turn()
        assert not told, told
        if launcher._link is not None:
            assert len(launcher._link._frames._buffer) <= FRAME_BYTES_MAX + (1 << 16)
        for fork in [fork for fork in forks if fork.done()]:
            forks.remove(fork)
            if fork.cancelled():
                continue
            if fork.exception() is None:
                handles.append(fork.result())
            else:
                assert isinstance(fork.exception(), Eio)
    launcher._lose_zygote()
    for handle in [*handles, *(f.result() for f in forks if f.done() and not f.cancelled() and not f.exception())]:
        handle.sock.close()
        os.close(handle.output_fd)
    await asyncio.gather(*forks, return_exceptions=True)
    await launcher.close()
    assert theirs is not None
    theirs.close()
    assert not told, told
    assert not launcher.used
    assert worker_uids._used - len(worker_uids._free) == in_use


def fork_request(rng: Random, number: int) -> bytes:
    """What a launcher asks, or nearly."""
    data = frame(Fork(number, WorkerSpec(name=rng.choice(hostile.TEXTS)[:300])))
    if rng.random() < 0.1:
        data = framed(data[4:-8] + rng.randbytes(8))
    data = hostile.changed(rng, data) if rng.random() < 0.1 else data
    return hostile.garbage(rng) if rng.random() < 0.05 else data


def against_a_zygote(rng: Random, rounds: int) -> int:
    """Many zygotes, each until it hangs up; how many there were."""
    zygotes, entry = 0, lambda sock: 0
    ours = theirs = zygote = None
    for number in range(rounds):
        if zygote is None:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            zygote = Zygote(ours, entry, unconfined=True)
            zygotes += 1
        assert ours is not None
        assert theirs is not None
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(rng.choice([2, 2, 2, 2, 2, 2, 0, 1, 3, 60]))]
        socket.send_fds(theirs, [fork_request(rng, number)], files)
        for file in files:
            os.close(file)
        open_ = zygote._receive()
        assert len(zygote._frames._buffer) <= FRAME_BYTES_MAX + (1 << 16)
        with suppress(BlockingIOError):
            theirs.recv(1 << 20)
        if not open_ or number == rounds - 1:
            for descriptor in zygote._descriptors:
                os.close(descriptor)
            ours.close()
            theirs.close()
            zygote = None
    return zygotes


def prepared(patch: pytest.MonkeyPatch) -> None:
    """No process is signalled, made or looked for."""
    nobody = SimpleNamespace(
        send_signal=lambda *args: False, open_pidfd=lambda *args: None, start_time_of=lambda os_pid: None
    )
    patch.setattr(launching, "pids", nobody)
    forked = iter(range(NOBODY, NOBODY + (1 << 20)))
    patch.setattr(os, "fork", lambda: next(forked))


def check(seed: int, rounds: int, patch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    prepared(patch)
    if os.geteuid() == 0:
        worker_uids.give_back(worker_uids.take())  # its claim is a socket, for as long as this process lives
    before = len(os.listdir("/proc/self/fd"))

    @looped
    async def launchers() -> None:
        await against_a_launcher(Random(seed), rounds)

    launchers()
    assert against_a_zygote(Random(seed), rounds) > 1
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_there_ends_a_zygote_at_most(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check(seed, 300, monkeypatch)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_what_is_said_there_ends_a_zygote_at_most_in_the_long_run(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check(seed, 3_000, monkeypatch)
