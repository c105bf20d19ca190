"""G5 with real kills: three confined agents talk, and the kernel dies by SIGKILL before or after an append."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.sweep import kill_everywhere, kill_once
from tests.simulation.test_kill_sweep import check_sound, events_of, live, rows_of
from tests.simulation.test_mail_sweep import faults

EXPECTED = {"stored": [f"order {n}" for n in range(4)], "told": 4, "late": "closed"}


async def kill_and_resume(folder: Path, stop_at: int, when: str) -> bool:
    """Whether the kernel was killed there; the rest is checked here."""
    home = folder / "home"
    if await live(home, "http://127.0.0.1:1", stop_at, when, "killed_letters") is not None:
        return False
    durable = rows_of(home) if (home / "journal.db").exists() else []
    again = await live(home, "http://127.0.0.1:1", stop_at + 5, when, "killed_letters")
    ended = again or await live(home, "http://127.0.0.1:1", driver="killed_letters")
    assert ended is not None
    assert (ended["status"], ended["result"]) == (0, EXPECTED), ended
    assert rows_of(home)[: len(durable)] == durable
    assert not list(faults(events_of(home)))
    check_sound(home)
    return True


def check(number: int, when: str) -> bool:
    return kill_once(check, kill_and_resume, number, when)


@pytest.mark.parametrize(("number", "when"), [(24, "before"), (45, "after")])
def test_a_conversation_whose_kernel_is_killed_goes_on(number: int, when: str) -> None:
    assert check(number, when)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_conversation_whose_kernel_is_killed_anywhere_goes_on(when: str) -> None:
    assert kill_everywhere(check, when) > 60
