"""Who gives room, in which order, and who does not."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from prytany.memory.tiers import Tiers


def holding(bytes_max: int, *sizes: int, tenant: int = 0, first: int = 1) -> Tiers:
    """Contexts of these sizes, of processes 1, 2, ..., used in this order."""
    tiers = Tiers(bytes_max)
    add(tiers, *sizes, tenant=tenant, first=first)
    return tiers


def add(tiers: Tiers, *sizes: int, tenant: int = 0, first: int = 1) -> None:
    for key, size in enumerate(sizes, first):
        tiers.use(key, tenant, key)
        tiers.resize(key, size)


def running(*pids: int) -> Callable[[int], bool]:
    return lambda pid: pid in pids


def make_room(tiers: Tiers, runs: Callable[[int], bool], ratio: int = 4) -> list[tuple[str, int]]:
    """Do what is said until nothing is; what was done."""
    done: list[tuple[str, int]] = []
    while (step := tiers.next(runs)) is not None:
        done.append((step.do, step.key))
        if step.do == "pack":
            tiers.pack(step.key, tiers._held[step.key].size // ratio)
        else:
            tiers.dropped(step.key)
    return done


def test_nothing_is_packed_before_the_high_mark_is_passed() -> None:
    tiers = holding(1_000, *[100] * 8)
    assert (tiers.high, tiers.low) == (875, 625)
    assert not tiers.due
    add(tiers, 100, first=9)
    assert tiers.due


def test_who_waits_is_packed_the_least_recently_used_first_down_to_the_low_mark() -> None:
    tiers = holding(1_000, *[100] * 9)
    tiers.use(1, 0, 1)
    assert make_room(tiers, running()) == [("pack", 2), ("pack", 3), ("pack", 4), ("pack", 5)]
    assert (tiers.size, tiers.packed, tiers.due) == (600, 4, False)


def test_who_runs_keeps_what_it_has() -> None:
    tiers = holding(1_000, *[100] * 9)
    assert make_room(tiers, running(1, 2, 3, 8, 9)) == [("pack", key) for key in (4, 5, 6, 7)]


def test_packed_ones_leave_only_where_all_that_waits_is_packed() -> None:
    tiers = holding(1_000, *[100] * 9)
    done = make_room(tiers, running(7, 8, 9), ratio=2)
    assert done == [("pack", key) for key in (1, 2, 3, 4, 5, 6)]
    add(tiers, *[100] * 3, first=10)
    assert tiers.due
    done = make_room(tiers, running(7, 8, 9, 10, 11, 12), ratio=2)
    assert done == [("drop", 1), ("drop", 2), ("drop", 3), ("drop", 4), ("drop", 5), ("drop", 6)]
    assert (tiers.counts.packed, tiers.counts.dropped) == (6, 6)


def test_where_all_of_it_is_in_use_nothing_is_looked_at_again_before_more_has_come() -> None:
    tiers = holding(1_000, *[100] * 9)
    asked: list[int] = []

    def all_run(pid: int) -> bool:
        asked.append(pid)
        return True

    assert make_room(tiers, all_run) == []
    assert len(asked) == 9
    assert not tiers.due
    tiers.resize(9, 120)
    assert tiers.due


def test_what_is_beyond_the_bound_leaves_at_once_whoever_runs_and_never_what_is_in_use() -> None:
    tiers = holding(1_000, 600, 300, 600)
    assert tiers.beyond(1) == 2
    tiers.dropped(2)
    assert tiers.beyond(1) == 3
    tiers.dropped(3)
    tiers.resize(1, 5_000)
    assert tiers.beyond(1) is None


def test_under_the_machines_pressure_all_that_waits_is_packed_below_every_mark() -> None:
    tiers = holding(1_000_000, *[100] * 5)
    packed = []
    while (step := tiers.waiting(running(2))) is not None:
        packed.append(step.key)
        tiers.pack(step.key, 10)
    assert packed == [1, 3, 4, 5]


def test_one_tenants_haste_costs_another_nothing_of_its_share() -> None:
    tiers = holding(1_000, *[100] * 3, tenant=1)
    add(tiers, *[100] * 7, tenant=2, first=4)
    done = make_room(tiers, running(), ratio=2)
    assert {key for _, key in done} <= {4, 5, 6, 7, 8, 9, 10}
    for key in range(11, 60):
        add(tiers, 100, tenant=2, first=key)
        while (gone := tiers.beyond(key)) is not None:
            tiers.dropped(gone)
        if tiers.due:
            make_room(tiers, running(), ratio=2)
    assert {1, 2, 3} <= set(tiers._held)


def test_who_runs_in_a_small_tenant_is_not_pushed_out_by_who_runs_in_a_large_one() -> None:
    tiers = holding(1_000, 300, tenant=1)
    for key in range(2, 30):
        add(tiers, 100, tenant=2, first=key)
        while (gone := tiers.beyond(key)) is not None:
            tiers.dropped(gone)
    assert 1 in tiers


@given(
    st.lists(st.tuples(st.sampled_from(["use", "room", "drop"]), st.integers(1, 12), st.integers(0, 400)), max_size=60),
    st.sets(st.integers(1, 12)),
)
def test_whatever_is_used_the_sums_hold_and_the_marks_are_kept(
    steps: list[tuple[str, int, int]], busy: set[int]
) -> None:
    tiers = Tiers(1_000)
    for do, key, size in steps:
        if do == "use":
            tiers.use(key, key % 3, key)
            tiers.resize(key, size)
            while (gone := tiers.beyond(key)) is not None:
                tiers.dropped(gone)
            assert tiers.size <= max(1_000, size)
        elif do == "drop":
            tiers.drop(key)
        else:
            make_room(tiers, lambda pid: pid in busy)
            waits = [h for k, h in tiers._held.items() if h.pid not in busy and h.size]
            share = tiers.low // max(1, len(tiers._tenants))
            over = [t for t, own in tiers._tenants.items() if own.size > share]
            assert tiers.size <= tiers.low or not [h for h in waits if h.tenant in over]
        assert tiers.size == sum(h.size for h in tiers._held.values())
        assert {k for own in tiers._tenants.values() for k in (*own.ready, *own.packed)} == set(tiers._held)
