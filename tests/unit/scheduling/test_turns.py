"""Queues of tools' resources: nothing is entered twice, nobody is passed, and holds let their own calls through."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.abi import events as ev
from prytany.scheduling.turns import HOLD, Turns, parse_key

RESOURCES = st.lists(st.sampled_from([b"a", b"b", b"c:1:x"]), unique=True, max_size=3)
PIDS = (1, 2, 3)


class TurnsMachine(RuleBasedStateMachine):
    """What handlers and admission record, in any order, and kernels that come back."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.n = 0
        self.working: dict[tuple[int, int], list[bytes]] = {}
        """Calls whose tools work now."""
        self.waiting: dict[tuple[int, int], list[bytes]] = {}
        self.holds: dict[tuple[int, int], list[bytes]] = {}
        self.left: set[tuple[int, int]] = set()

    @rule(pid=st.sampled_from(PIDS), resources=RESOURCES)
    def call(self, pid: int, resources: list[bytes]) -> None:
        self.n += 1
        free = self.turns.free(self.turns.ways(pid, resources)[0])
        self.turns.called(self.n, ev.ToolCalled(pid, self.n, "tool", "pure", resources, b""))
        self.waiting[pid, self.n] = resources
        if free:
            self.begin(pid, self.n)

    @rule(pid=st.sampled_from(PIDS), resources=RESOURCES)
    def hold(self, pid: int, resources: list[bytes]) -> None:
        self.n += 1
        if self.turns.free(self.turns.ways(pid, resources)[0]):
            self.turns.held(self.n, ev.ToolHeld(pid, self.n, "tool", resources))
            self.holds[pid, self.n] = resources
        else:
            self.turns.hold_asked(self.n, ev.ToolHoldAsked(pid, self.n, "tool", resources))
            self.waiting[pid, self.n] = resources

    def begin(self, pid: int, n: int) -> None:
        self.turns.started(self.n, ev.ToolStarted(pid, n))
        self.working[pid, n] = self.waiting.pop((pid, n))

    @precondition(lambda self: self.turns.due)
    @rule()
    def admit(self) -> None:
        pid, n = parse_key(next(iter(self.turns.due)))
        call = self.turns.get(pid, n)
        assert call is not None
        if call.effect == HOLD:
            self.turns.held(self.n, ev.ToolHeld(pid, n, "tool", call.wanted))
            self.turns.closed(self.n, ev.CallClosed(pid, n, "", b"", 0))
            self.holds[pid, n] = self.waiting.pop((pid, n))
        else:
            self.begin(pid, n)

    @precondition(lambda self: self.working or self.waiting)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        pid, n = data.draw(st.sampled_from([*self.working, *self.waiting]))
        self.turns.closed(self.n, ev.CallClosed(pid, n, "", b"", 0))
        self.working.pop((pid, n), None)
        self.waiting.pop((pid, n), None)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.holds)))
        self.turns.let_go(self.n, ev.ToolLetGo(*key))
        self.left.add(key)

    @rule(pid=st.sampled_from(PIDS))
    def end(self, pid: int) -> None:
        self.turns.ended(pid)
        for of in (self.working, self.waiting, self.holds):
            for key in [key for key in of if key[0] == pid]:
                del of[key]

    @rule()
    def come_back(self) -> None:
        self.turns = msgspec.msgpack.decode(msgspec.msgpack.encode(self.turns), type=Turns)

    @invariant()
    def nothing_is_entered_twice(self) -> None:
        entered = [resource for resources in self.working.values() for resource in resources]
        assert len(entered) == len(set(entered))

    @invariant()
    def what_one_holds_nobody_else_enters(self) -> None:
        for (pid, n), resources in self.holds.items():
            if (pid, n) in self.left and n not in self.turns.holds.get(pid, {}):
                continue
            for (other, _), entered in self.working.items():
                assert other == pid or not set(resources) & set(entered)

    @invariant()
    def nobody_waits_for_nobody(self) -> None:
        """Who waits is due, or somebody works or holds, or has let go and something beneath works."""
        if self.waiting and not self.turns.due:
            assert self.working or any(n in self.turns.holds.get(pid, {}) for pid, n in self.holds)
        for pid, calls in self.turns.calls.items():
            assert {n for n in calls if not calls[n].started} == {n for of, n in self.waiting if of == pid}

    def teardown(self) -> None:
        for pid in PIDS:
            self.turns.ended(pid)
        assert self.turns == Turns(joined=self.turns.joined)


TestTurns = TurnsMachine.TestCase
TestTurns.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_hold_that_was_let_go_of_stays_until_what_is_beneath_it_has_ended() -> None:
    turns = Turns()
    turns.held(1, ev.ToolHeld(1, 1, "tool", [b"a"]))
    turns.called(2, ev.ToolCalled(1, 2, "tool", "pure", [b"a"], b""))
    turns.started(2, ev.ToolStarted(1, 2))
    turns.called(3, ev.ToolCalled(2, 1, "tool", "pure", [b"a"], b""))
    turns.let_go(4, ev.ToolLetGo(1, 1))
    assert not turns.due, "what is entered would be entered twice"
    turns.called(5, ev.ToolCalled(1, 3, "tool", "pure", [b"a"], b""))
    assert not turns.due, "who has let go of it is behind who came before"
    turns.closed(6, ev.CallClosed(1, 2, "", b"", 0))
    assert list(turns.due) == ["2:1"]
