"""The scheduler: queues and budgets together. Nothing begins that is not paid for, and nobody is forgotten."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.scheduling.budgets import Amount, Bounds, Budgets
from prytany.scheduling.call import Call, Qos
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import Used
from prytany.scheduling.scheduler import Scheduler, Wanted
from prytany.scheduling.spending import BREACH

SECOND_NS = 1_000_000_000
CHAINS = ((), ("run",), ("tree", "run"))
ENDPOINTS = ("a", "b")


class Kernel:
    """What a kernel does with the scheduler: it folds what was decided, and tells what happened."""

    def __init__(self) -> None:
        self.budgets = Budgets()
        self.scheduler = Scheduler(self.budgets)
        self.scheduler.open("a", Limits(2))
        self.scheduler.open("b", Limits(3, 60))
        self.now_ns = SECOND_NS
        self.waiting: set[int] = set()
        self.running: dict[int, Wanted] = {}
        self.stopped: dict[int, Wanted] = {}

    def make(self, wanted: Wanted) -> bool:
        """A call is made: it begins at once, or waits."""
        key = wanted.call.key
        if not self.scheduler.at_once(wanted, self.now_ns):
            self.offer(wanted)
            return False
        self.budgets.reserved(key, 1, wanted.accounts, wanted.amount, self.now_ns)
        self.scheduler.admit(wanted, self.now_ns)
        self.running[key] = wanted
        return True

    def offer(self, wanted: Wanted) -> None:
        self.waiting.add(wanted.call.key)
        self.scheduler.offer(wanted, self.now_ns)

    def fill(self) -> None:
        """Carry out all that is decided now."""
        for _ in range(1_000):
            decision = self.scheduler.next(self.now_ns)
            if decision is None:
                return
            wanted, key = decision.wanted, decision.wanted.call.key
            self.waiting.remove(key)
            if decision.begins:
                self.budgets.reserved(key, 1, wanted.accounts, wanted.amount, self.now_ns)
                self.scheduler.begun(key, self.now_ns)
                self.running[key] = wanted
            else:
                assert decision.verdict.what == BREACH
                self.stopped[key] = wanted
        raise AssertionError("it decides for ever")

    def settle(self, key: int, used: int, cause: str = "") -> None:
        wanted = self.running.pop(key)
        self.budgets.charged(key, 1, Amount(tokens=used))
        assert self.scheduler.settled(key, Used(used // 2, used // 2, cause), self.now_ns) is wanted

    def add(self, account: str, tokens: int) -> None:
        self.budgets.added(account, Bounds(tokens=tokens))
        self.scheduler.added(account)
        for key in [key for key, wanted in self.stopped.items() if account in wanted.accounts]:
            self.offer(self.stopped.pop(key))


class SchedulerMachine(RuleBasedStateMachine):
    """Everything that can happen to a kernel; in the end all that waits comes to its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.k = Kernel()
        self.key = 0
        self.k.budgets.granted("run", Bounds(tokens=4_000), Bounds(tokens=900), SECOND_NS)
        self.k.budgets.granted("tree", Bounds(tokens=700), Bounds(), SECOND_NS)

    @rule(
        chain=st.sampled_from(CHAINS),
        endpoint=st.sampled_from(ENDPOINTS),
        tokens=st.integers(1, 400),
        qos=st.sampled_from(Qos),
        at_once=st.booleans(),
    )
    def offer(self, chain: tuple[str, ...], endpoint: str, tokens: int, qos: Qos, at_once: bool) -> None:
        self.key += 1
        call = Call(self.key, self.key % 3, qos, tokens, tokens)
        made = Wanted(call, endpoint, chain, Amount(tokens=tokens))
        if at_once:
            self.k.make(made)
        else:
            self.k.offer(made)

    @rule()
    def fill(self) -> None:
        self.k.fill()

    @rule()
    def wait(self) -> None:
        self.k.fill()
        self.k.now_ns = self.k.scheduler.when(self.k.now_ns) or self.k.now_ns + SECOND_NS

    @precondition(lambda self: self.k.running)
    @rule(
        data=st.data(),
        part=st.sampled_from([0, 50, 100]),
        cause=st.sampled_from(["", "", "timeout"]),
        again=st.booleans(),
    )
    def settle(self, data: st.DataObject, part: int, cause: str, again: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.k.running)))
        wanted = self.k.running[key]
        self.k.settle(key, wanted.amount.tokens * part // 100, cause)
        if again:
            self.k.offer(wanted)

    @precondition(lambda self: self.k.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.k.waiting)))
        assert self.k.scheduler.cancel(key, self.k.now_ns) is not None
        assert self.k.scheduler.cancel(key, self.k.now_ns) is None
        self.k.waiting.remove(key)

    @rule(account=st.sampled_from(["tree", "run"]), tokens=st.integers(0, 500))
    def add(self, account: str, tokens: int) -> None:
        self.k.add(account, tokens)

    @invariant()
    def nothing_is_overspent(self) -> None:
        for account in self.k.budgets.accounts.values():
            assert account.spent.tokens + account.reserved.tokens <= account.total.tokens
        assert sum(w.endpoint == "a" for w in self.k.running.values()) <= 2
        assert sum(w.endpoint == "b" for w in self.k.running.values()) <= 3

    def teardown(self) -> None:
        """Everybody ends: then all that waits begins, or is told that it cannot be paid for."""
        for _ in range(2_000):
            self.k.fill()
            if not self.k.waiting and not self.k.running:
                break
            if self.k.running:
                self.k.now_ns += 1
                self.k.settle(next(iter(self.k.running)), 0)
            else:
                when_ns = self.k.scheduler.when(self.k.now_ns)
                assert when_ns is not None, f"nobody asks {self.k.waiting} again"
                self.k.now_ns = when_ns
        assert not self.k.waiting
        assert len(self.k.scheduler.parked) == 0


SchedulerMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
test_nobody_is_forgotten_and_nothing_overspent = SchedulerMachine.TestCase


def wanted(key: int, tokens: int, *accounts: str, endpoint: str = "a", agent: int = 0) -> Wanted:
    return Wanted(Call(key, agent or key), endpoint, accounts, Amount(tokens=tokens))


def test_who_waits_for_a_budget_holds_up_nobody_else() -> None:
    k = Kernel()
    k.budgets.granted("tree", Bounds(tokens=100), Bounds(), SECOND_NS)
    for call in (wanted(1, 90, "tree"), wanted(2, 90, "tree"), wanted(3, 90)):
        k.offer(call)
    k.fill()
    assert sorted(k.running) == [1, 3]
    k.settle(1, 10)
    k.fill()
    assert sorted(k.running) == [2, 3]


def test_a_small_call_does_not_pass_one_that_waits_for_the_same_budget() -> None:
    k = Kernel()
    k.budgets.granted("tree", Bounds(tokens=100), Bounds(), SECOND_NS)
    k.offer(wanted(1, 60, "tree"))
    k.fill()
    k.offer(wanted(2, 50, "tree"))
    k.fill()
    k.offer(wanted(3, 10, "tree", endpoint="b"))
    k.fill()
    assert list(k.running) == [1]
    k.settle(1, 0)
    k.fill()
    assert sorted(k.running) == [2, 3]


def test_of_a_thousand_that_wait_for_a_budget_a_settlement_moves_only_those_that_fit() -> None:
    k = Kernel()
    k.scheduler.open("a", Limits(100))
    k.budgets.granted("tree", Bounds(tokens=10_000), Bounds(), SECOND_NS)
    k.budgets.reserved(9_999, 1, ["tree"], Amount(tokens=9_980), SECOND_NS)
    for key in range(1, 1_001):
        k.offer(wanted(key, 10, "tree"))
    k.fill()
    assert len(k.running) == 2
    asked: list[int] = []
    park = k.scheduler.parked.park

    def counted(key: int, account: str, at_ns: int = 0, *, before: bool = False) -> None:
        asked.append(key)
        park(key, account, at_ns, before=before)

    k.scheduler.parked.park = counted  # type: ignore[method-assign]
    k.settle(1, 0)
    k.fill()
    assert len(k.running) == 2
    assert len(asked) <= 2


def test_a_hundred_children_at_once_spend_no_more_than_their_tree_has() -> None:
    k = Kernel()
    k.scheduler.open("a", Limits(1_000))
    k.budgets.granted("tree", Bounds(tokens=5_000), Bounds(), SECOND_NS)
    for key in range(1, 101):
        k.offer(wanted(key, 400, "tree"))
    for _ in range(200):
        k.fill()
        if k.running:
            k.settle(next(iter(k.running)), 397)
    tree = k.budgets.accounts["tree"]
    assert tree.spent.tokens == 12 * 397
    assert len(k.stopped) == 88
    assert not k.waiting
    k.add("tree", 400)
    k.fill()
    assert len(k.running) == 1


def test_when_an_endpoint_is_closed_those_who_waited_are_given_back() -> None:
    k = Kernel()
    for key in (1, 2, 3, 4):
        k.offer(wanted(key, 1))
    k.fill()
    given = k.scheduler.close("a", SECOND_NS)
    assert [w.call.key for w in given] == [3, 4]
    k.settle(1, 0)
    k.fill()
    assert list(k.running) == [2]


def test_a_call_begins_with_its_intent_where_nobody_waits_and_it_is_paid_for() -> None:
    k = Kernel()
    k.budgets.granted("tree", Bounds(tokens=100), Bounds(), SECOND_NS)
    assert k.make(wanted(1, 80, "tree"))
    assert not k.make(wanted(2, 80, "tree"))  # it may fit when the first is settled
    k.fill()
    assert not k.make(wanted(3, 1, "tree"))  # another waits for that budget
    assert k.make(wanted(4, 80))
    assert not k.make(wanted(5, 80))  # no place is left
    assert sorted(k.running) == [1, 4]
    k.settle(1, 10)
    k.fill()
    assert sorted(k.running) == [2, 4]
