"""Who stands still for want of memory, step by step, and who goes on, in reverse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prytany.ports.memory import Sample
from prytany.scheduling.call import Qos
from prytany.scheduling.pressure import CALM_LOOKS, MARKS, Actions, Level, Pressure

GIB = 1 << 30
CALM = Sample(4 * GIB, 8 * GIB)
SCARCE = Sample(GIB // 20, 8 * GIB)
STALLED = Sample(4 * GIB, 8 * GIB, 900_000)


class Machine:
    """Processes by class, and what became of them."""

    def __init__(self, **classes: Qos) -> None:
        self.room = Pressure()
        self.qos = {int(name[1:]): qos for name, qos in classes.items()}
        self.still: set[int] = set()

    def running(self, qos: Qos) -> list[int]:
        return [pid for pid, of in self.qos.items() if of is qos and pid not in self.still]

    def look(self, sample: Sample | None) -> Actions:
        done = self.room.look(sample, self.running)
        assert not self.still.intersection(done.pause)
        assert self.still.issuperset(done.go_on)
        self.still |= set(done.pause)
        self.still -= set(done.go_on)
        return done

    def calm(self, looks: int = CALM_LOOKS) -> list[list[int]]:
        return [gone for _ in range(looks) if (gone := self.look(CALM).go_on)]


def mixed() -> Machine:
    return Machine(p1=Qos.BACKGROUND, p2=Qos.UTILITY, p3=Qos.INTERACTIVE, p4=Qos.BACKGROUND, p5=Qos.INITIATED)


def test_nothing_happens_while_there_is_memory() -> None:
    machine = mixed()
    assert all(machine.look(CALM) == ([], []) for _ in range(5))
    assert not machine.room.holds(9, Qos.BACKGROUND)


def test_first_none_begins_then_background_stands_still_then_utility_and_nobody_else_ever() -> None:
    for bad in (SCARCE, STALLED):
        machine = mixed()
        assert machine.look(bad).pause == []
        assert machine.room.level is Level.HOLD
        assert machine.room.holds(9, Qos.BACKGROUND)
        assert not machine.room.holds(10, Qos.UTILITY)
        assert machine.look(bad).pause == [1, 4]
        assert not machine.room.holds(10, Qos.UTILITY)
        assert machine.look(bad).pause == [2]
        assert machine.room.holds(10, Qos.UTILITY)
        assert not machine.room.holds(11, Qos.INTERACTIVE)
        assert not machine.room.holds(12, Qos.INITIATED)
        assert [machine.look(bad).pause for _ in range(5)] == [[]] * 5


def test_it_goes_no_further_than_its_mark() -> None:
    machine = mixed()
    mark = MARKS[Level.BACKGROUND]
    sample = Sample(8 * GIB * mark.free_ppm // 1_000_000 - 1, 8 * GIB)
    for _ in range(20):
        machine.look(sample)
    assert (machine.room.level, machine.still) == (Level.BACKGROUND, {1, 4})


def test_a_small_part_of_a_large_machine_is_enough() -> None:
    machine = mixed()
    for _ in range(5):
        machine.look(Sample(10 * GIB, 1024 * GIB))
    assert machine.room.level is Level.CALM


def test_they_go_on_in_reverse_after_it_was_calm_for_a_while() -> None:
    machine = mixed()
    for _ in range(3):
        machine.look(SCARCE)
    assert machine.calm(CALM_LOOKS - 1) == []
    assert machine.calm(1) == [[2]]
    assert machine.room.level is Level.UTILITY
    assert machine.calm(1 + 2 * CALM_LOOKS) == [[4]]
    assert machine.calm(1) == [[1]]
    machine.calm(1)
    assert (machine.room.level, machine.still, machine.room.paused) == (Level.CALM, set(), {})


def test_many_go_on_one_first_then_twice_as_many_at_each_look() -> None:
    machine = Machine(**{f"p{pid}": Qos.BACKGROUND for pid in range(1, 200)})
    machine.look(SCARCE)
    machine.look(SCARCE)
    for _ in range(100):
        machine.room.look(Sample(int(0.07 * 8 * GIB), 8 * GIB), machine.running)  # BACKGROUND eases, HOLD does not
    assert machine.room.level is Level.HOLD
    sizes = [len(gone) for gone in machine.calm(30)]
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 64, 8]


def test_between_the_marks_nothing_changes() -> None:
    machine = mixed()
    for _ in range(3):
        machine.look(SCARCE)
    between = Sample(int(0.025 * 8 * GIB), 8 * GIB)
    for _ in range(50):
        assert machine.look(between) == ([], [])
    assert machine.still == {1, 2, 4}
    machine.calm(CALM_LOOKS - 1)
    machine.look(between)
    assert machine.calm(CALM_LOOKS - 1) == [], "calm is counted in a row"


def test_who_had_gone_on_stands_still_again_where_it_gets_worse_meanwhile() -> None:
    machine = Machine(p1=Qos.UTILITY, p2=Qos.UTILITY, p3=Qos.UTILITY)
    for _ in range(3):
        machine.look(SCARCE)
    assert machine.calm() == [[3]]
    assert machine.look(SCARCE).pause == [3]
    assert machine.still == {1, 2, 3}


def test_whom_a_person_lets_go_on_is_left_alone_until_it_is_calm() -> None:
    machine = mixed()
    for _ in range(2):
        machine.look(SCARCE)
    machine.still.discard(1)
    machine.room.spare(1)
    assert not machine.room.holds(1, Qos.BACKGROUND)
    for _ in range(3):
        machine.look(SCARCE)
    assert machine.still == {2, 4}
    machine.calm(100)
    for _ in range(2):
        machine.look(SCARCE)
    assert 1 in machine.still


def test_one_that_was_held_and_comes_again_was_let_go_on_by_somebody() -> None:
    machine = mixed()
    machine.look(SCARCE)
    assert machine.room.holds(9, Qos.BACKGROUND)
    assert not machine.room.holds(9, Qos.BACKGROUND)
    assert not machine.room.holds(9, Qos.BACKGROUND)


def test_where_nobody_can_say_how_it_stands_nobody_stands_still() -> None:
    machine = mixed()
    for _ in range(3):
        machine.look(SCARCE)
    assert set(machine.look(None).go_on) == {1, 2, 4}
    assert (machine.room.level, machine.still) == (Level.CALM, set())


@given(st.lists(st.tuples(st.integers(0, 8 * GIB), st.integers(0, 1_000_000)), max_size=80))
def test_whatever_happens_everybody_goes_on_in_the_end(samples: list[tuple[int, int]]) -> None:
    machine = Machine(**{f"p{pid}": Qos(pid % 4) for pid in range(1, 40)})
    for free, stalled in samples:
        machine.look(Sample(free, 8 * GIB, stalled))
        assert all(machine.qos[pid] >= Qos.UTILITY for pid in machine.still)
        assert machine.still == set(machine.room.paused)
        if machine.room.level < Level.BACKGROUND:
            assert all(machine.qos[pid] is Qos.BACKGROUND for pid in machine.still)
    machine.calm(100)
    assert (machine.room.level, machine.still) == (Level.CALM, set())
