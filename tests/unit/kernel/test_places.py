"""Who has a place next, in virtual time: by class, by age, within the bounds of classes."""

from __future__ import annotations

import random  # noqa: TID251 seeded
from heapq import heappop, heappush

import pytest

from prytany.kernel.places import SPARE, STEP_NS, Places
from prytany.process.process import Process, State
from prytany.scheduling.call import Qos

SECOND_NS = 1_000_000_000
INTERACTIVE, INITIATED, UTILITY, BACKGROUND = (int(qos) for qos in Qos)


class Time:
    """What the kernel's time is."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def order(places: Places) -> list[int]:
    """Everybody who is let in, each gone at once."""
    found: list[int] = []
    while (one := places.next()) is not None:
        found.append(one.pid)
        places.release(one.pid)
    return found


def process(pid: int) -> Process:
    made = Process(pid, 0, pid, "p", "python", "p", b"", b"", [], {}, b"", 0, 0, 1)
    made.state = State.RUNNING
    return made


def test_the_most_urgent_class_goes_first_and_in_it_whoever_comes_back() -> None:
    places = Places(1)
    for pid, qos, begins in (
        (1, BACKGROUND, False), (2, UTILITY, True), (3, UTILITY, False), (4, INTERACTIVE, True), (5, UTILITY, False),
        (6, INITIATED, False),
    ):  # fmt: skip
        places.ask(pid, qos, begins=begins)
    assert order(places) == [4, 6, 3, 5, 2, 1]


def test_whoever_has_waited_a_step_for_each_line_above_goes_first() -> None:
    time = Time()
    places = Places(1, time)
    places.ask(1, BACKGROUND)
    time.now_ns = 6 * STEP_NS - 1
    places.ask(2, INTERACTIVE)
    time.now_ns = 6 * STEP_NS + 1
    places.ask(3, INTERACTIVE)
    assert order(places) == [2, 1, 3]


def test_nobody_waits_for_ever_below_a_load_that_can_be_borne() -> None:
    """4,000 processes in an hour, at nine tenths of what 16 places take."""
    draw, time = random.Random(7), Time()
    places, waited = Places(16, time), dict.fromkeys(range(4), 0)
    asked: dict[int, tuple[int, int]] = {}
    ends: list[tuple[int, int]] = []
    arrives, pid = 0, 0
    while pid < 4_000 or asked or ends:
        if pid < 4_000 and (not ends or arrives <= ends[0][0]):
            time.now_ns, pid = arrives, pid + 1
            qos = draw.randrange(4)
            places.ask(pid, qos, begins=draw.random() < 0.5)
            asked[pid] = (time.now_ns, qos)
            arrives += draw.randrange(2 * SECOND_NS * 10 // 144)
        else:
            time.now_ns, gone = heappop(ends)
            places.release(gone)
        while (one := places.next()) is not None:
            since_ns, qos = asked.pop(one.pid)
            waited[qos] = max(waited[qos], time.now_ns - since_ns)
            heappush(ends, (time.now_ns + draw.randrange(SECOND_NS // 2, 3 * SECOND_NS // 2), one.pid))
    assert places.free == 16
    assert max(waited.values()) < 7 * STEP_NS


def test_under_a_flood_of_urgent_work_the_background_is_let_in_as_it_ages() -> None:
    time = Time()
    places = Places(1, time)
    places.ask(0, BACKGROUND, begins=True)
    for second in range(1, 200):
        time.now_ns = second * SECOND_NS
        places.ask(2 * second, INTERACTIVE)
        places.ask(2 * second + 1, INTERACTIVE)
        one = places.next()
        assert one is not None
        if one.pid == 0:
            break
        places.release(one.pid)
    else:
        pytest.fail("it was never let in")
    # What came within seven steps before it goes first; two come a second, and one goes.
    assert time.now_ns <= 2 * 7 * STEP_NS + SECOND_NS


def test_a_class_within_its_bound_leaves_places_to_the_others() -> None:
    places = Places(4)
    places.bounds[BACKGROUND] = 1
    for pid in (1, 2, 3):
        places.ask(pid, BACKGROUND)
    first = places.next()
    assert first is not None
    assert places.next() is None
    assert places.free == 3
    places.ask(9, UTILITY)
    let_in = places.next()
    assert let_in is not None
    assert let_in.pid == 9
    places.release(first.pid)
    assert (one := places.next()) is not None
    assert one.pid == 2
    assert places.of_class(BACKGROUND) == 1


def test_a_bound_of_none_lets_nobody_of_that_class_in() -> None:
    places = Places(4)
    places.bounds[BACKGROUND] = 0
    places.ask(1, BACKGROUND)
    assert places.next() is None
    places.changed(1, UTILITY)
    assert order(places) == [1]


def test_who_changes_its_class_keeps_its_age() -> None:
    time = Time()
    places = Places(1, time)
    places.ask(1, BACKGROUND)
    time.now_ns = SECOND_NS
    places.ask(2, INTERACTIVE)
    places.changed(1, INTERACTIVE)
    assert order(places) == [1, 2]
    places.ask(3, UTILITY)
    places.ask(4, UTILITY)
    places.changed(3, BACKGROUND)
    assert order(places) == [4, 3]


def test_who_has_a_place_is_counted_in_the_class_that_it_is_of_now() -> None:
    places = Places(4)
    places.ask(1, UTILITY)
    assert places.next() is not None
    places.changed(1, BACKGROUND)
    assert (places.of_class(UTILITY), places.of_class(BACKGROUND)) == (0, 1)
    places.release(1)
    assert places.of_class(BACKGROUND) == 0
    places.changed(1, INTERACTIVE)  # late: it is gone
    assert (places.free, places.asked) == (4, 0)


def test_nobody_begins_where_none_may_and_others_still_come_back() -> None:
    places = Places(4)
    places.ask(1, INTERACTIVE, begins=True)
    places.ask(2, BACKGROUND)
    one = places.next(may_begin=False)
    assert one is not None
    assert (one.pid, one.begins) == (2, False)
    assert places.next(may_begin=False) is None
    assert places.next() == (1, True)


def test_asking_again_changes_nothing_and_who_is_here_asks_no_more() -> None:
    places = Places(1)
    places.ask(1, UTILITY)
    places.ask(2, UTILITY)
    places.ask(1, UTILITY)
    assert places.next() == (1, False)
    places.ask(1, UTILITY)
    assert places.asked == 1
    places.update(process(2))
    assert places.asked == 0
    assert places.free == -1  # it was let in once, and is let through


def test_asking_and_leaving_over_and_over_takes_no_room() -> None:
    places = Places(1)
    places.ask(1, INTERACTIVE)
    assert places.next() is not None
    for pid in range(2, 5_000):
        places.ask(pid, UTILITY)
        places.release(pid)
    assert sum(map(len, places._lines)) <= 2 * SPARE
    places.ask(7, UTILITY)
    places.release(1)
    assert order(places) == [7]
