"""Supervision against the rules of OTP: random trees, failures, kills, time, and kernels that stop anywhere."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from prytany.abi.supervision import Strategy
from prytany.kernel.fleet_trees import Tree, start_tree
from tests.simulation.trees_world import Checked, alive, command, declared, shard_of, told

COMMANDS = st.sampled_from(["fail", "fail", "fail", "return", "KILL", "TERM", "STOP", "CONT"])


@st.composite
def specs(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """A tree of at most three generations."""
    count = draw(st.integers(0 if depth else 1, 3)) if depth < 2 else 0
    return {
        "name": f"d{depth}",
        "strategy": draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one", "dynamic"])),
        "intensity": draw(st.integers(0, 3)),
        "restart": draw(st.sampled_from(["permanent", "transient", "temporary"])),
        "shutdown_ms": draw(st.sampled_from([0, 50, 2_000])),
        "server": depth == 1 and draw(st.booleans()),
        "children": [draw(specs(depth + 1)) for _ in range(count)],
    }


class Supervision(RuleBasedStateMachine):
    """One kernel after another on one journal."""

    @initialize(spec=specs(), seed=st.integers(0, 1 << 20))
    def begins(self, spec: dict[str, Any], seed: int) -> None:
        self.shard = shard_of(seed)
        self.pids: list[int] = []
        told(self.shard, lambda kernel: self.pids.append(self.shard.spawn(kernel, "node", spec)), 2)

    @rule(name=COMMANDS, at=st.integers(0, 50), seconds=st.sampled_from([0.005, 0.2, 3, 40]))
    def told_one(self, name: str, at: int, seconds: float) -> None:
        there = alive(self.shard)
        if there:
            told(self.shard, command(name, there[at % len(there)]), seconds)

    @rule(
        first=st.integers(0, 50), second=st.integers(0, 50), names=st.tuples(COMMANDS, COMMANDS),
        more=st.integers(1, 40),
    )  # fmt: skip
    def told_two_and_cut(self, first: int, second: int, names: tuple[str, str], more: int) -> None:
        there = alive(self.shard)
        if there:
            head = self.shard.store.reader().head()
            assert head is not None

            def both(kernel: Any) -> None:
                command(names[0], there[first % len(there)])(kernel)
                command(names[1], there[second % len(there)])(kernel)

            told(self.shard, both, 1, stop_at=head.seq + more)

    @rule()
    def time_passes(self) -> None:
        told(self.shard, lambda kernel: None, 100)

    @invariant()
    def keeps_to_the_rules(self) -> None:
        if hasattr(self, "shard"):
            Checked(self.shard).all()

    def teardown(self) -> None:
        if hasattr(self, "shard"):
            try:
                told(self.shard, lambda kernel: None, 200)
                checked = Checked(self.shard)
                checked.all()
                checked.settled()
            finally:
                self.shard.loop.close()


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> Tree:
    """Groups in groups, with agents of each kind."""
    agents = st.sampled_from(["permanent", "transient", "temporary"])
    inner = trees(depth + 1) if depth < 2 else agents
    return Tree(
        f"g{depth}", draw(st.sampled_from(list(Strategy))), draw(st.integers(0, 3)), 30_000,
        draw(st.sampled_from(["permanent", "transient"])),
        draw(st.lists(st.one_of(agents, inner), min_size=1, max_size=3)),
    )  # fmt: skip


class Groups(Supervision):
    """The same, of groups that a fleet declares."""

    @initialize(spec=st.just({}), seed=st.integers(0, 1 << 20), tree=trees())
    def begins(self, spec: dict[str, Any], seed: int, tree: Tree) -> None:
        self.shard = shard_of(seed)
        told(self.shard, lambda kernel: start_tree(kernel, declared(kernel), tree, uid=0), 2)


Groups.TestCase.settings = settings(
    max_examples=15, stateful_step_count=8, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
test_groups_keep_to_the_rules_of_otp = Groups.TestCase
Supervision.TestCase.settings = settings(
    max_examples=15, stateful_step_count=8, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
test_supervision_keeps_to_the_rules_of_otp = Supervision.TestCase
