"""Time, chance and identity come from the record; what no record could repeat is refused."""

from __future__ import annotations

from tests.unit.runtime_loop.kernel_end import START_NS, run


def test_a_replay_draws_the_same_time_chance_and_identity() -> None:
    live = run("sources.py")
    assert live.ending == (0, True, None), live.stderr
    first, second = (drawn for (drawn,) in live.named("drawn"))
    again = run("sources.py", heap=3, hash_seed=9, replay=live.items)
    assert again.calls == live.calls
    assert all(a != b for a, b in zip(first[20:], second[20:], strict=True)), "chance repeats itself within a run"


def test_the_time_is_that_of_the_last_item() -> None:
    live = run("sources.py")
    first, second = (drawn for (drawn,) in live.named("drawn"))
    assert first[:4] == [START_NS / 1e9, START_NS, 0.0, 0]
    assert second[1] == live.items[0][1]
    assert second[3] == second[1] - START_NS
    assert second[18] == second[2], "the loop and time.monotonic agree"
    assert second[10] == second[0], "a function that was imported by name is under the record too"
    assert first[13][:10] == first[17] == "2026-09-21"
    assert first[19] == 7


def test_threads_processes_sockets_and_sleep_are_refused() -> None:
    said = run("sources.py:refused").ending[1]
    assert set(said.values()) == {"EPERM"}, said
