"""Who runs next, in virtual time: the figures that the scheduler has to reach, at sizes that take no time.

The benchmark of the same name prints them for an hour of each.
"""

from __future__ import annotations

from random import Random  # noqa: TID251 seeded

import pytest

from benchmarks import scheduling
from benchmarks._on_the_wire import wire
from prytany.scheduling.call import Qos
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.rates import Limits
from prytany.scheduling.run_queue import RunQueue
from prytany.testing.model_traffic import SECOND_NS, Ask, Provider, Traffic


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_a_fleet_uses_what_it_pays_for_and_trips_no_limit_of_any_kind(kind: str) -> None:
    found = scheduling.contention(kind, naive=False)
    assert found["utilisation"] >= 0.95
    assert found["http_429"] == 0
    assert found["lost"] == 0


def test_a_client_that_asks_at_once_and_backs_off_takes_longer() -> None:
    assert scheduling.contention("fixed")["ratio_naive"] >= 1.3


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket", "small bucket"])
def test_where_less_is_allowed_than_was_said_the_rate_is_found_and_no_call_is_lost(kind: str) -> None:
    found = scheduling.contention(kind, calls=12, true=0.8)
    assert found["utilisation"] >= 0.85
    assert found["lost"] == 0


@pytest.mark.parametrize("load", [0.2, 0.6])
def test_a_person_hardly_feels_a_flood_and_the_slots_are_busy(load: float) -> None:
    found = scheduling.interactive(load, seconds=240)
    assert found["p99_ratio"] <= 2
    assert found["utilisation"] >= 0.9


@pytest.mark.parametrize("flood", [0.9, 5.0])
def test_a_person_who_asks_little_does_not_wait_behind_long_work_that_is_late(flood: float) -> None:
    """Interactive calls of 0.4 s, and background ones of 20 s, at more than the capacity."""
    chance, slots = Random(1), 8
    traffic = Traffic(RunQueue(Limits(slots)), Provider())
    for qos, tokens, load in ((Qos.INTERACTIVE, 20, 0.3), (Qos.BACKGROUND, 1_000, flood)):
        at_ns = 0
        while at_ns < 600 * SECOND_NS:
            at_ns += int(chance.expovariate(load * slots / (tokens * scheduling.TOKEN_NS)))
            traffic.add(at_ns, scheduling.script([Ask(1, tokens, qos)]), at_ns)
    traffic.run(600 * SECOND_NS)
    waits = sorted(s.begun_ns - s.made_ns for s in traffic.served if s.ask.qos is Qos.INTERACTIVE)
    begun = [s for s in traffic.served if s.ask.qos is Qos.BACKGROUND]
    assert len(waits) > 3_000
    assert waits[len(waits) * 99 // 100] < 30 * SECOND_NS  # slots are not taken away; one is free each 2.5 s
    assert len(begun) > 100  # and that does not starve


@pytest.mark.parametrize("policy", ["classes", "fair_share"])
def test_backlogged_agents_share_alike(policy: str) -> None:
    found = scheduling.fairness(policy, seconds=1_200)
    assert found["jain"] >= 0.99
    assert found["bound_ratio"] <= 1


def test_first_come_does_not_share_alike() -> None:
    assert scheduling.fairness("first_come", seconds=600)["jain"] < 0.6


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_starves_below_capacity(policy: str) -> None:
    assert scheduling.starvation(policy)["late"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(10))
def test_nobody_starves_below_capacity_whatever_the_hour_brings(policy: str, seed: int) -> None:
    assert scheduling.starvation(policy, seed=seed)["late"] == 0


def test_a_hundred_children_at_once_do_not_overspend_their_tree() -> None:
    for seed in range(3):
        found = scheduling.budget(tokens=20_000 + 61_803 * seed, seed=seed)
        assert 0.9 < found["overspend_ratio"] <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_over_http_refusals_lose_no_call_and_no_answer_is_paid_twice(kind: str) -> None:
    found = wire(kind, 0.8)
    assert found["lost"] == found["twice"] == 0


def test_the_same_seed_gives_the_same_order() -> None:
    assert scheduling.starvation("classes", seconds=900) == scheduling.starvation("classes", seconds=900)
