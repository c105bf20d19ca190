"""Deadlocks are found where there are some, and nowhere else: against whoever plays everything through."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.abi import events as ev
from prytany.ipc.locks import ALONE, Locks, Waited
from prytany.ipc.wait_for import Behind, Calls, Need, Wait, find_deadlock

Graph = dict[int, dict[int, list[tuple[list[tuple[int, int]], int]]] | None]
"""Process to its calls, each with what it needs: who is before it with what they take, and how much they may."""


def needs(graph: Graph, pid: int) -> Calls | None:
    calls = graph.get(pid)
    if not calls:
        return None
    return {n: [Need(partial(iter, of), room) for of, room in needed] for n, needed in calls.items()}


def behind(graph: Graph, pid: int) -> Iterator[Behind]:
    for other, calls in graph.items():
        for needed in (calls or {}).values():
            if any(pid == one for of, _ in needed for one, _ in of):
                yield Behind(iter([other]))


def played(graph: Graph) -> set[int]:
    """Who never goes on, if whoever can go on does, and lets go of all that it has."""
    stuck = set(graph)
    while True:
        freed = {
            pid
            for pid in stuck
            if not graph[pid]
            or any(
                all(sum(takes for other, takes in of if other in stuck) <= room for of, room in needed)
                for needed in (graph[pid] or {}).values()
            )
        }
        if not freed:
            return stuck
        stuck -= freed


PIDS = st.integers(1, 6)
NEED = st.tuples(st.lists(st.tuples(PIDS, st.integers(1, 2)), min_size=1, max_size=4), st.integers(0, 3))
CALLS = st.dictionaries(st.integers(1, 3), st.lists(NEED, min_size=1, max_size=2), min_size=1, max_size=2)
GRAPHS: st.SearchStrategy[Graph] = st.fixed_dictionaries(
    {pid: st.one_of(st.none(), CALLS, CALLS, CALLS) for pid in range(1, 7)}
)


@settings(max_examples=200, deadline=None)
@given(GRAPHS)
def test_every_wait_that_begins_finds_what_it_makes_and_breaking_that_lets_all_go_on(graph: Graph) -> None:
    now: Graph = dict.fromkeys(graph)
    for pid, calls in graph.items():
        now[pid] = calls
        was = played({**now, pid: None})
        assert was == set(), "what was made before was broken before"
        while (circle := find_deadlock(pid, lambda one: needs(now, one), lambda one: behind(now, one))) is not None:
            assert pid in played(now)
            assert {wait.pid for wait in circle} <= played(now)
            check(now, circle)
            victim = max(circle)
            left = dict(now[victim.pid] or {})
            del left[victim.n]
            now[victim.pid] = None  # it has something to do
        assert played(now) == set()


def check(graph: Graph, circle: list[Wait]) -> None:
    """Each waits for the next, by that call, and nobody stands in it twice."""
    assert len({wait.pid for wait in circle}) == len(circle)
    for at, wait in enumerate(circle):
        after = circle[(at + 1) % len(circle)].pid
        assert any(after == one for of, _ in (graph[wait.pid] or {})[wait.n] for one, _ in of)


def test_a_permit_of_anybody_is_enough_and_all_of_them_are_needed_by_who_wants_all() -> None:
    one_of_two: Graph = {1: {1: [([(2, 1), (3, 1)], 1)]}, 2: {1: [([(1, 1)], 0)]}, 3: None}
    assert find_deadlock(1, lambda pid: needs(one_of_two, pid), lambda pid: behind(one_of_two, pid)) is None
    both: Graph = {**one_of_two, 1: {1: [([(2, 1), (3, 1)], 0)]}}
    assert find_deadlock(1, lambda pid: needs(both, pid), lambda pid: behind(both, pid)) == [Wait(1, 1), Wait(2, 1)]


def test_ten_thousand_who_wait_for_one_cost_the_next_of_them_nothing() -> None:
    looked: list[int] = []

    def calls_of(pid: int) -> Calls | None:
        looked.append(pid)
        ahead = [(other, 1) for other in range(pid)]
        return {1: [Need(lambda: iter(ahead), 0)]} if pid else None

    assert find_deadlock(10_000, calls_of, lambda pid: iter(())) is None
    assert len(looked) <= 3


CLAIM = st.tuples(
    PIDS,
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=2, unique=True),
    st.sampled_from(["alone", "shared", "permit"]),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CLAIM, min_size=4, max_size=40))
def test_real_lines_of_locks_have_no_deadlock_left_when_each_that_a_wait_makes_is_broken(
    claims: list[tuple[int, list[str], str, bool]],
) -> None:
    locks, waits = Locks(), dict[int, int]()

    def calls_of(pid: int) -> Calls | None:
        if pid not in waits:
            return None
        return {
            waits[pid]: [
                Need(partial(_claims, line), line.room, line.key, line.ticket) for line in locks.before(pid, waits[pid])
            ]
        }

    def behind_of(pid: int) -> Iterator[Behind]:
        return (Behind(of, key, ticket) for key, ticket, of in locks.behind(pid))

    def graph() -> Graph:
        return {
            pid: {waits[pid]: [(list(_claims(line)), line.room) for line in locks.before(pid, waits[pid])]}
            if pid in waits
            else None
            for pid in range(1, 7)
        }

    for n, (pid, names, how, lets_go) in enumerate(claims, 1):
        if pid in waits:
            continue
        if lets_go and locks.held.get(pid):
            locks.released(0, ev.LockReleased(pid, next(iter(locks.held[pid]))))
        else:
            scope, permits = ("s", 2) if how == "permit" else ("l", 0)
            takes = ALONE if how == "alone" else 1
            free = all(locks.room(f"{scope}/{name}", takes) for name in names)
            alone, shared = ([], names) if how == "shared" else (names, [])
            locks.claimed(0, ev.LockClaimed(pid, n, scope, alone, shared, permits, locks.fences + 1 if free else 0))
            if not free:
                waits[pid] = n
        while (circle := find_deadlock(pid, calls_of, behind_of)) is not None:
            check(graph(), circle)
            victim = max(circle)
            locks.closed(0, ev.CallClosed(victim.pid, victim.n, "EDEADLK", b"", 0))
            del waits[victim.pid]
        while locks.due:
            claim = locks.claims[next(iter(locks.due))]
            locks.granted(0, ev.LockGranted(claim.pid, claim.n, locks.fences + 1))
            del waits[claim.pid]
        assert played(graph()) == set()


def _claims(line: Waited) -> Iterator[tuple[int, int]]:
    return ((claim.pid, takes) for claim, takes in line.before())
