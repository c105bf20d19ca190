"""Budgets against a model: never overspent, never negative, nothing made or lost, however calls interleave."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.scheduling.budgets import KINDS, NOTHING, Account, Amount, Bounds, Budgets
from prytany.scheduling.spending import BREACH, GRANTED, LATER, Parked, Verdict, debts, left_permille, may_reserve

SECOND_NS = 1_000_000_000
CHAINS = (
    ("run:1", "tenant:0"),
    ("tree:2", "run:1", "tenant:0"),
    ("process:3", "tree:2", "run:1", "tenant:0"),
    ("tenant:0",),
)
NAMES = ("process:3", "tree:2", "run:1", "tenant:0")
amounts = st.builds(Amount, st.integers(0, 60), st.integers(0, 60), st.integers(0, 2))
bounds = st.builds(Bounds, *[st.one_of(st.just(-1), st.integers(0, 300))] * 3)


class BudgetMachine(RuleBasedStateMachine):
    """Many children reserve, settle and end at once; the operator adds; time goes on."""

    honest = True
    """Endpoints take no more than was reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.budgets = Budgets()
        self.now_ns = 1_000 * SECOND_NS
        self.open: dict[tuple[int, int], tuple[tuple[str, ...], Amount, int]] = {}
        self.spent = dict.fromkeys(NAMES, NOTHING)
        self.n = 0
        self.took: dict[tuple[int, int], tuple[int, tuple[str, ...], Amount]] = {}
        """Every reservation: its second, and what it came to."""
        for name in NAMES:
            self.budgets.granted(name, Bounds(200, 200, 8), Bounds(tokens=100), self.now_ns)

    @rule(chain=st.sampled_from(CHAINS), amount=amounts, pid=st.integers(1, 3))
    def reserve(self, chain: tuple[str, ...], amount: Amount, pid: int) -> None:
        verdict = may_reserve(self.budgets, chain, amount, self.now_ns)
        if verdict.what == GRANTED:
            self.n += 1
            self.budgets.reserved(pid, self.n, chain, amount, self.now_ns)
            self.open[pid, self.n] = (chain, amount, self.now_ns)
            self.took[pid, self.n] = (self.now_ns // SECOND_NS, chain, amount)
        elif verdict.what == LATER and not verdict.at_ns:
            held = [who for who, (accounts, _, _) in self.open.items() if verdict.account in accounts]
            assert held, "it waits for what nobody holds"
        else:
            assert verdict.reason

    @precondition(lambda self: self.open)
    @rule(data=st.data(), used=amounts)
    def settle(self, data: st.DataObject, used: Amount) -> None:
        who = data.draw(st.sampled_from(sorted(self.open)))
        chain, amount, _ = self.open.pop(who)
        if self.honest:
            used = Amount(*(min(used.of(kind), amount.of(kind)) for kind in KINDS))
        told = {verdict.account for verdict in debts(self.budgets, *who, used)}
        self.budgets.charged(*who, used)
        self.budgets.charged(*who, used)  # a second report of the same attempt changes nothing
        self.took[who] = (*self.took[who][:2], used)
        for name in chain:
            self.spent[name] += used
        owing = {name for name in NAMES if any(self.account(name).debt(kind) for kind in KINDS)}
        assert told == owing & set(chain)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[who]
        self.took[who] = (*self.took[who][:2], NOTHING)
        self.budgets.released(*who)

    @rule(pid=st.integers(1, 3))
    def end(self, pid: int) -> None:
        self.budgets.ended(pid)
        for who in [who for who in self.open if who[0] == pid]:
            self.took[who] = (*self.took[who][:2], NOTHING)
        self.open = {who: held for who, held in self.open.items() if who[0] != pid}

    @rule(seconds=st.sampled_from([0, 1, 20, 59, 61]))
    def pass_time(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND_NS

    @rule(name=st.sampled_from(NAMES), more=bounds)
    def add(self, name: str, more: Bounds) -> None:
        self.budgets.added(name, more)

    @rule()
    def snapshot(self) -> None:
        packed = msgspec.msgpack.encode(self.budgets)
        self.budgets = msgspec.msgpack.decode(packed, type=Budgets)
        assert msgspec.msgpack.encode(self.budgets) == packed

    def account(self, name: str) -> Account:
        account = self.budgets.get(name)
        assert account is not None
        return account

    @invariant()
    def counts_are_right(self) -> None:
        for name in NAMES:
            account = self.account(name)
            held = NOTHING
            for chain, amount, _ in self.open.values():
                held = held + amount if name in chain else held
            assert account.reserved == held
            assert account.spent == self.spent[name]
            assert min(msgspec.structs.astuple(account.reserved)) >= 0
            assert len(account.recent) <= 62
            for kind in KINDS:
                if self.honest:
                    assert account.debt(kind) == 0
                    assert account.spent.of(kind) + account.reserved.of(kind) <= account.total.of(kind)
            since = self.now_ns // SECOND_NS - 60
            recent = sum(a.tokens for second, chain, a in self.took.values() if second >= since and name in chain)
            assert account.within_minute("tokens", self.now_ns) == recent
            if self.honest:
                assert recent <= 100


BudgetMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
test_no_account_is_overspent_however_calls_interleave = BudgetMachine.TestCase


class DebtMachine(BudgetMachine):
    """Endpoints take more than was reserved."""

    honest = False


DebtMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
test_what_is_taken_beyond_is_counted_and_nothing_more_is_reserved = DebtMachine.TestCase


def budgets_of(**accounts: Bounds) -> Budgets:
    budgets = Budgets()
    for name, total in accounts.items():
        budgets.granted(name, total, Bounds(), SECOND_NS)
    return budgets


def test_a_call_that_may_fit_when_another_is_settled_waits_and_one_that_never_can_is_a_breach() -> None:
    budgets = budgets_of(tree=Bounds(tokens=100))
    budgets.reserved(1, 1, ["tree"], Amount(tokens=80), SECOND_NS)
    assert may_reserve(budgets, ["tree"], Amount(tokens=50), SECOND_NS).what == LATER
    assert may_reserve(budgets, ["tree"], Amount(tokens=101), SECOND_NS).what == BREACH
    budgets.charged(1, 1, Amount(tokens=60))
    verdict = may_reserve(budgets, ["tree"], Amount(tokens=50), SECOND_NS)
    assert (verdict.what, verdict.account, verdict.kind, verdict.left) == (BREACH, "tree", "tokens", 40)
    budgets.added("tree", Bounds(tokens=10))
    assert may_reserve(budgets, ["tree"], Amount(tokens=50), SECOND_NS).what == GRANTED


def test_a_breach_above_is_told_before_a_wait_below() -> None:
    budgets = budgets_of(process=Bounds(tokens=100), tenant=Bounds(tokens=40))
    budgets.reserved(1, 1, ["process"], Amount(tokens=90), SECOND_NS)
    assert may_reserve(budgets, ["process", "tenant"], Amount(tokens=50), SECOND_NS).account == "tenant"


def test_a_debt_stops_all_below_until_it_is_made_good() -> None:
    budgets = budgets_of(tree=Bounds(tokens=100))
    budgets.reserved(1, 1, ["tree"], Amount(tokens=80), SECOND_NS)
    assert [d.account for d in debts(budgets, 1, 1, Amount(tokens=150))] == ["tree"]
    budgets.charged(1, 1, Amount(tokens=150))
    assert budgets.accounts["tree"].debt("tokens") == 50
    assert may_reserve(budgets, ["tree"], Amount(tokens=1), SECOND_NS).what == BREACH
    budgets.added("tree", Bounds(tokens=51))
    assert may_reserve(budgets, ["tree"], Amount(tokens=1), SECOND_NS).what == GRANTED


def test_a_bound_a_minute_says_when_to_ask_again_and_then_it_fits() -> None:
    budgets = Budgets()
    budgets.granted("tree:1", Bounds(), Bounds(tokens=100), SECOND_NS)
    now_ns = 100 * SECOND_NS + 7
    budgets.reserved(1, 1, ["tree:1"], Amount(tokens=70), now_ns)
    budgets.charged(1, 1, Amount(tokens=70))
    verdict = may_reserve(budgets, ["tree:1"], Amount(tokens=40), now_ns)
    assert verdict.what == LATER
    assert now_ns + 60 * SECOND_NS <= verdict.at_ns <= now_ns + 61 * SECOND_NS
    assert may_reserve(budgets, ["tree:1"], Amount(tokens=40), verdict.at_ns).what == GRANTED
    assert may_reserve(budgets, ["tree:1"], Amount(tokens=101), now_ns).what == BREACH
    assert "a minute" in verdict.reason


def test_time_is_a_budget_too() -> None:
    budgets = budgets_of(run=Bounds(wall_ms=5_000))
    assert budgets.accounts["run"].ends_ns == 6 * SECOND_NS
    assert may_reserve(budgets, ["run"], Amount(tokens=1), 6 * SECOND_NS - 1).what == GRANTED
    assert may_reserve(budgets, ["run"], Amount(tokens=1), 6 * SECOND_NS).kind == "wall_ms"
    budgets.added("run", Bounds(wall_ms=1_000))
    assert may_reserve(budgets, ["run"], Amount(tokens=1), 6 * SECOND_NS).what == GRANTED


def test_another_attempt_of_a_call_replaces_its_reservation() -> None:
    budgets = budgets_of(tree=Bounds(tokens=100))
    for _ in range(3):
        budgets.reserved(1, 1, ["tree"], Amount(tokens=80), SECOND_NS)
    assert budgets.accounts["tree"].reserved.tokens == 80


def test_an_account_that_is_closed_is_no_bound_and_leaves_the_others_right() -> None:
    budgets = budgets_of(tree=Bounds(tokens=100), tenant=Bounds(tokens=1_000))
    budgets.reserved(1, 1, ["tree", "tenant"], Amount(tokens=80), SECOND_NS)
    budgets.closed("tree")
    budgets.charged(1, 1, Amount(tokens=70))
    assert budgets.accounts["tenant"].spent.tokens == 70
    assert budgets.accounts["tenant"].reserved == NOTHING
    assert may_reserve(budgets, ["tree", "tenant"], Amount(tokens=500), SECOND_NS).what == GRANTED


def test_what_is_left_is_of_the_tightest() -> None:
    budgets = budgets_of(tree=Bounds(tokens=100), tenant=Bounds(usd_micros=1_000))
    assert left_permille(budgets, ["tree", "tenant", "nobody"]) == 1_000
    budgets.reserved(1, 1, ["tree", "tenant"], Amount(tokens=75, usd_micros=10), SECOND_NS)
    assert left_permille(budgets, ["tree", "tenant"]) == 250


def test_those_who_wait_for_a_budget_keep_their_places() -> None:
    parked = Parked()
    for key in (1, 2, 3):
        parked.park(key, "tree", 5)
    parked.park(1, "tree", 9)
    assert (parked.first("tree"), parked.behind(["run", "tree"]), parked.behind(["run"])) == (1, "tree", "")
    parked.park(3, "tree", before=True)
    assert (parked.first("tree"), parked.when(), parked.due(4), parked.due(5)) == (3, 5, None, 2)
    parked.park(2, "run")
    for key in (1, 3, 3):
        parked.drop(key)
    assert (parked.first("tree"), parked.account(2), parked.when(), len(parked)) == (None, "run", None, 1)


@pytest.mark.parametrize(("left", "bound", "said"), [
    (0, 9, "$0 of $0.000009 left"), (1_500_000, 2_000_000, "$1.5 of $2 left"), (100, 10_000_000, "$0.0001 of $10 left"),
])  # fmt: skip
def test_money_is_said_in_dollars(left: int, bound: int, said: str) -> None:
    assert Verdict(BREACH, "run:3", "usd_micros", bound, left).reason == f"budget: run:3 has {said}"
