"""Shared segments: versions only grow, whoever waits is told once, and nothing is left of what is gone."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.abi import events as ev
from prytany.ipc.segments import Segments, weight

NAMES = st.sampled_from(["a", "a/b", "é"])
SCOPES = st.sampled_from(["run:1", "fleet:2"])


class SegmentMachine(RuleBasedStateMachine):
    """What handlers record, in any order, and kernels that come back."""

    def __init__(self) -> None:
        super().__init__()
        self.segments = Segments()
        self.there: dict[tuple[str, str], tuple[int, int]] = {}
        """Version and size of each."""
        self.seen: dict[tuple[str, str], int] = {}
        """The highest version that each ever had."""
        self.waiting: dict[tuple[int, int], tuple[str, str, int]] = {}
        self.n = 0

    @rule(scope=SCOPES, name=NAMES, size=st.integers(1, 9))
    def write(self, scope: str, name: str, size: int) -> None:
        self.n += 1
        version = self.segments.next_version(scope, name)
        assert version > self.seen.get((scope, name), 0)
        self.segments.written(self.n, 0, ev.SegmentWritten(1, scope, name, version, b"digest", size))
        self.there[scope, name] = version, size
        self.seen[scope, name] = version

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        scope, name = data.draw(st.sampled_from(list(self.there)))
        self.segments.deleted(self.n, 0, ev.SegmentDeleted(1, scope, name))
        del self.there[scope, name]

    @rule(pid=st.integers(1, 3), scope=SCOPES, name=NAMES)
    def wait(self, pid: int, scope: str, name: str) -> None:
        self.n += 1
        after = self.there.get((scope, name), (0, 0))[0]
        self.segments.awaited(self.n, 0, ev.SegmentAwaited(pid, self.n, scope, name, after))
        self.waiting[pid, self.n] = scope, name, after

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), only_due=st.booleans())
    def close(self, data: st.DataObject, only_due: bool) -> None:
        due = [key for key in self.waiting if f"{key[0]}:{key[1]}" in self.segments.due]
        pid, n = data.draw(st.sampled_from(due if only_due and due else list(self.waiting)))
        self.segments.closed(self.n, 0, ev.CallClosed(pid, n, "", b"", 0))
        del self.waiting[pid, n]

    @rule(pid=st.integers(1, 3))
    def end(self, pid: int) -> None:
        self.segments.ended(pid)
        self.waiting = {key: waiter for key, waiter in self.waiting.items() if key[0] != pid}

    @rule()
    def come_back(self) -> None:
        self.segments = msgspec.msgpack.decode(msgspec.msgpack.encode(self.segments), type=Segments)

    @invariant()
    def what_is_there_is_there(self) -> None:
        for scope in ("run:1", "fleet:2"):
            own = {name: size for (of, name), (_, size) in self.there.items() if of == scope}
            assert {name for name, _ in self.segments.named(scope, "")} == set(own)
            assert self.segments.weighs(scope) == (len(own), sum(weight(name, size) for name, size in own.items()))

    @invariant()
    def who_waits_is_due_when_it_has_changed(self) -> None:
        for (pid, n), (scope, name, after) in self.waiting.items():
            changed = self.there.get((scope, name), (0, 0))[0] != after
            assert changed == (f"{pid}:{n}" in self.segments.due)
        assert len(self.segments.due) <= len(self.waiting)
        assert {pid for pid, _ in self.waiting} == set(self.segments.waiting)


TestSegments = SegmentMachine.TestCase
TestSegments.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_name_that_was_removed_goes_on_above_what_anybody_may_remember() -> None:
    segments = Segments()
    for version in (1, 2, 3):
        segments.written(version, 0, ev.SegmentWritten(1, "run:1", "a", version, b"x", 1))
    segments.deleted(4, 0, ev.SegmentDeleted(1, "run:1", "a"))
    assert segments.next_version("run:1", "a") == 4
    assert segments.next_version("run:2", "a") == 1
    segments.scope_ended("run:1")
    assert segments == Segments()
