"""G1, G5, G6 with real kills, of a fleet that uses what there is: servers, a conversation, a stream, tools, exec."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.testing.model_endpoint import ModelEndpoint
from tests.simulation.sweep import kill_everywhere, kill_once
from tests.simulation.test_episodes import check_calls, check_messages
from tests.simulation.test_kill_sweep import check_sound, events_of, live, rows_of

SERVED = [[[1, 3, 6], [1, 3, 6]], ["again", 2], {"ann": [1, 2, 3], "ben": [1, 2, 3]}, [9, 9]]
TALKED = [
    ["talk one [2 words]", "talk two [2 words]", "talk three [2 words]", 7, 5],
    ["talk one [2 words]", "cut short", "talk three [2 words]", 5, 3],
]
QUESTIONS = 5
STRIDE = 4


def model_calls(home: Path) -> int:
    """How many model calls have no result yet."""
    events = events_of(home) if (home / "journal.db").exists() else []
    return len({(e.pid, e.n, e.prev) for e in events if isinstance(e, ev.CallOpened) and e.call == "model_chat"}) - sum(
        isinstance(e, ev.ModelUsed) and not e.estimated for e in events
    )


def check_tally(home: Path, bought: list[list[str]]) -> None:
    """What the tools did, against what the journal says and the program was told."""
    events = events_of(home)
    lines = [line.split() for line in Path(f"{home}.tally").read_text().splitlines()]
    unsafe = [e for e in events if isinstance(e, ev.ToolCalled) and e.effect == "unsafe"]
    again = Counter((e.pid, e.n) for e in events if isinstance(e, ev.CallSettled) and e.choice == "retry")
    shipped = Counter(order for name, order, *_ in lines if name == "ship")
    assert sum(shipped.values()) <= len(unsafe) + again.total()
    for place, order in enumerate(("o1", "o2")):
        price, paid, sent = bought[place]
        assert (price, paid) == (f"{order} costs 7", f"{order} paid")
        assert sent == "EINDOUBT" or (sent == f"{order} sent" and shipped[order] >= 1)
        assert len({key for name, of, *key_ in lines if (name, of) == ("pay", order) for key in key_}) == 1


async def kill_and_resume(folder: Path, number: int, when: str) -> bool:
    """Whether the kernel was killed there; the rest is checked here."""
    where = f"killed at {when} {number}"
    home = folder / "home"
    async with ModelEndpoint(latency_ms=2) as endpoint:
        if await live(home, endpoint.base_url, number, when, "killed_market") is not None:
            return False
        durable = rows_of(home) if (home / "journal.db").exists() else []
        in_flight = model_calls(home)
        again = await live(home, endpoint.base_url, number + 3 if when != "snapshot" else 1, when, "killed_market")
        in_flight += model_calls(home) if again is None else 0
        ended = again or await live(home, endpoint.base_url, 0, "after", "killed_market")
        assert ended is not None, where
        assert ended["status"] == 0, f"{where}: {ended}"
        served, talked, age, told = ended["result"]["said"]
        assert served == SERVED, where
        assert talked in TALKED, where
        assert (age, told, ended["result"]["same"]) == (2, "told to end", True), where
        assert rows_of(home)[: len(durable)] == durable, where
        assert endpoint.total <= QUESTIONS + in_flight, where
    check_calls(events_of(home), where)
    check_messages(events_of(home), where)
    check_tally(home, ended["result"]["bought"])
    check_sound(home)
    return True


def check(number: int, when: str) -> bool:
    return kill_once(check, kill_and_resume, number, when)


@pytest.mark.parametrize(("number", "when"), [(40, "before"), (71, "after"), (2, "snapshot")])
def test_a_market_whose_kernel_is_killed_goes_on(number: int, when: str) -> None:
    assert check(number, when)


@pytest.mark.slow
@pytest.mark.parametrize(("when", "step"), [("before", STRIDE), ("after", STRIDE), ("snapshot", 1)])
def test_a_market_whose_kernel_is_killed_anywhere_goes_on(when: str, step: int) -> None:
    assert kill_everywhere(check, when, step) > (3 if when == "snapshot" else 100)
