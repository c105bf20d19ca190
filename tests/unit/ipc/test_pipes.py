"""Pipes against a model: what was written is read, in order, once; nobody waits who could go on; all is bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelPanic
from prytany.ipc.pipes import FOLDS, READ, WRITE, Pipes

OPENER, WRITERS, READERS = 1, (2, 3), (4, 5)
CHUNKS_MAX, BYTES_MAX = 4, 100


class PipeMachine(RuleBasedStateMachine):
    """Two writers and two readers of one pipe, that write, read, cancel, fail, close and are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = limits.PIPE_CHUNKS_MAX, limits.PIPE_BYTES_MAX
        limits.PIPE_CHUNKS_MAX, limits.PIPE_BYTES_MAX = CHUNKS_MAX, BYTES_MAX
        self.pipes = Pipes()
        self.seq = self.n = self.made = 0
        self.wanted: list[bytes] = []
        """What was accepted, in order, and not read."""
        self.waiting: dict[tuple[int, int], bytes] = {}
        self.reads: dict[tuple[int, int], None] = {}
        self.read: dict[int, list[bytes]] = {pid: [] for pid in READERS}
        """Since the reader began."""
        self.fold(ev.PipeOpened(OPENER, 1, OPENER, OPENER))
        for pid in WRITERS:
            self.fold(ev.PipeGiven(pid, 0, 1))
        for pid in READERS:
            self.fold(ev.PipeGiven(pid, 1, 0))
        self.fold(ev.PipeClosed(OPENER, 1, WRITE))
        self.fold(ev.PipeClosed(OPENER, 1, READ))

    def teardown(self) -> None:
        limits.PIPE_CHUNKS_MAX, limits.PIPE_BYTES_MAX = self.bounds

    def fold(self, event: Any) -> None:
        self.seq += 1
        if isinstance(event, ev.CallClosed):
            self.pipes.closed(event.pid, event.n)
        else:
            FOLDS[type(event)](self.pipes, self.seq, event)

    def next(self) -> int:
        self.n += 1
        return self.n

    def has(self, pid: int, end: str) -> bool:
        return self.pipes.has(pid, 1, end)

    @rule(pid=st.sampled_from(WRITERS), size=st.integers(1, BYTES_MAX * 2))
    def write(self, pid: int, size: int) -> None:
        if not self.has(pid, WRITE) or (pipe := self.pipes.pipes[1]).broken:
            return
        self.made += 1
        body, n = self.made.to_bytes(4, "big"), self.next()
        if pipe.writing or not pipe.has_room(size):
            self.fold(ev.PipeAwaited(pid, n, 1, body, size))
            self.waiting[pid, n] = body
        else:
            self.fold(ev.PipeWritten(pid, n, 1, body, size))
            self.wanted.append(body)

    @rule(pid=st.sampled_from(READERS))
    def want(self, pid: int) -> None:
        if not self.has(pid, READ):
            return
        pipe, n = self.pipes.pipes[1], self.next()
        if pipe.chunks and not pipe.reading:
            self.take(pid, n)
        elif pipe.chunks or pipe.writers or pipe.writing:
            self.fold(ev.PipeAwaited(pid, n, 1))
            self.reads[pid, n] = None

    def take(self, pid: int, n: int) -> None:
        first = next(iter(self.pipes.pipes[1].chunks.values()))
        self.fold(ev.PipeRead(pid, n, 1, True))
        assert first.body == self.wanted.pop(0), "chunks are read in the order in which they were written"
        self.read[pid].append(first.body)

    @precondition(lambda self: self.pipes.due)
    @rule()
    def go_on(self) -> None:
        step = self.pipes.pipes[next(iter(self.pipes.due))].step()
        assert step is not None
        pid, n = step.waiting.pid, step.waiting.n
        match step.what:
            case "read":
                del self.reads[pid, n]
                self.take(pid, n)
            case "write":
                assert step.waiting.chunk is not None
                self.wanted.append(self.waiting.pop((pid, n)))
                self.fold(ev.PipeWritten(pid, n, 1, step.waiting.chunk.body, step.waiting.chunk.size))
            case "broken":
                del self.waiting[pid, n]
            case _:
                assert not self.wanted, "the end comes after everything that was written"
                del self.reads[pid, n]
        self.fold(ev.CallClosed(pid, n, "", b"", 0))

    @precondition(lambda self: self.waiting or self.reads)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        pid, n = data.draw(st.sampled_from([*self.waiting, *self.reads]))
        self.waiting.pop((pid, n), None)
        self.reads.pop((pid, n), None)
        self.fold(ev.CallClosed(pid, n, "ECANCELED", b"", 0))

    def forget_waits(self, pid: int) -> None:
        self.waiting = {key: body for key, body in self.waiting.items() if key[0] != pid}
        self.reads = {key: None for key in self.reads if key[0] != pid}

    @rule(pid=st.sampled_from(READERS))
    def fail(self, pid: int) -> None:
        if not self.has(pid, READ):
            return
        self.forget_waits(pid)
        self.wanted = sorted([*self.read[pid], *self.wanted])
        self.read[pid] = []
        self.fold(ev.ProcessFailed(pid, 2, 1, 0, "", b"", 0))

    @rule(pid=st.sampled_from(READERS))
    def keep(self, pid: int) -> None:
        self.read[pid] = []
        self.fold(ev.MessageDone(pid, 0, self.next(), b"state"))

    @rule(pid=st.sampled_from((*WRITERS, *READERS)), killed=st.booleans())
    def leave(self, pid: int, killed: bool) -> None:
        end = WRITE if pid in WRITERS else READ
        if not self.has(pid, end):
            return
        if killed:
            self.forget_waits(pid)
            self.fold(ev.ProcessExited(pid, 0, 9, "", b""))
        elif not any(key[0] == pid for key in (*self.waiting, *self.reads)):
            self.fold(ev.PipeClosed(pid, 1, end))
            self.fold(ev.ProcessExited(pid, 0, 0, "", b""))
        if not any(self.has(reader, READ) for reader in READERS):
            self.wanted = []

    @invariant()
    def holds_what_was_written(self) -> None:
        pipe = self.pipes.pipes.get(1)
        if pipe is None:
            assert not (self.wanted)
            assert not (self.waiting)
            assert not (self.reads)
            assert not (self.pipes.due)
            assert not (self.pipes.held)
            assert not (self.pipes.waits)
            return
        assert [chunk.body for chunk in pipe.chunks.values()] == self.wanted
        assert pipe.size == sum(chunk.size for chunk in pipe.chunks.values())
        assert pipe.written - pipe.read >= len(pipe.chunks)
        assert (1 in self.pipes.due) == (pipe.step() is not None)

    @invariant()
    def is_bounded_by_what_may_lie_in_it_and_what_is_given_again(self) -> None:
        pipe = self.pipes.pipes.get(1)
        if pipe is not None and not any(self.read.values()) and len(pipe.chunks) > CHUNKS_MAX:
            assert pipe.written <= pipe.read + len(pipe.chunks)  # only a reader that failed brought more

    @invariant()
    def comes_back_from_a_snapshot_as_it_was(self) -> None:
        packed = msgspec.msgpack.encode(self.pipes)
        assert msgspec.msgpack.encode(msgspec.msgpack.decode(packed, type=Pipes)) == packed


TestPipes = PipeMachine.TestCase
TestPipes.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_a_fold_does_not_believe_what_cannot_be() -> None:
    pipes = Pipes()
    for event in (
        ev.PipeRead(1, 1, 7),
        ev.PipeWritten(1, 1, 7, b"x", 1),
        ev.PipeAwaited(1, 1, 7),
        ev.PipeClosed(1, 7, READ),
    ):
        with pytest.raises(KernelPanic):
            FOLDS[type(event)](pipes, 1, event)
    FOLDS[ev.PipeOpened](pipes, 1, ev.PipeOpened(1, 1, 1, 1))
    with pytest.raises(KernelPanic):
        FOLDS[ev.PipeRead](pipes, 2, ev.PipeRead(1, 1, 1))


def test_a_pipe_is_never_fuller_than_it_may_be_by_what_is_accepted() -> None:
    pipes = Pipes()
    FOLDS[ev.PipeOpened](pipes, 1, ev.PipeOpened(1, 1, 1, 1))
    n = 0
    while (pipe := pipes.pipes[1]).has_room(1_000):
        n += 1
        FOLDS[ev.PipeWritten](pipes, n, ev.PipeWritten(1, n, 1, b"x", 1_000))
    assert n == limits.PIPE_CHUNKS_MAX
    assert pipe.size <= limits.PIPE_BYTES_MAX
