"""What a run, and a trace, say of turns at models and of budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.abi.budgets import Bounds
from prytany.cli.progress import Progress
from prytany.cli.traced import Traced

HOME = Path("/tmp/home")


def _lines(*events: ev.Event) -> list[str]:
    told: list[str] = []
    Progress(told.append, HOME)(1, 0, events)
    return told


@pytest.mark.parametrize(("reason", "more"), [
    ("budget: run:3 has 0 of 9 tokens left", "tokens=10000"),
    ("budget: run:3 has 0 of 9 millionths of a dollar left", "usd=1"),  # as journals of before say it
    ("budget: run:3 has $0 of $0.000009 left", "usd=1"),
    ("budget: run:3 has 0 of 9 calls left", "calls=10"),
    ("budget: the time of run:3 is up", "wall=1h"),
    ("budget: run:3 has used its 2 s of processor", "processor=1m"),
])  # fmt: skip
def test_a_run_says_how_what_a_budget_stops_goes_on(reason: str, more: str) -> None:
    (line,) = _lines(ev.ProcessPaused(3, reason))
    assert f"prytany budget 3 --add {more} --home" in line
    assert _lines(ev.ProcessPaused(3, "SIGSTOP")) == []


def test_a_run_says_that_a_call_waits_for_its_turn() -> None:
    (line,) = _lines(ev.ModelQueued(3, 1, "gpt\x1b[2J", 1, 1, 0, True, ""))
    assert "waits for its turn at gpt\\x1b[2J" in line


def test_a_trace_says_of_budgets_and_classes_what_is_meant() -> None:
    entry = ev.Entry(5, [
        ev.BudgetGranted("run:3", Bounds(tokens=10), Bounds(calls=2), -1), ev.BudgetGranted("run:4", Bounds()),
        ev.BudgetAdded("tree:3", Bounds(tokens=5), -1001), ev.BudgetExceeded(3, "run:3", "tokens", 10, 2),
        ev.ProcessScheduled(3, 0, 7, 0, 2), ev.ModelQueued(3, 1, "m", 4, 5, 0, True, ""),
    ])  # fmt: skip
    said = {line.event: line.facts for line in Traced(3).take(entry)}
    assert said["budget.granted"]["what"] == "may take 10 tokens and 2 calls of models a minute"
    assert said["budget.granted"]["account"] == "run:3"
    assert said["budget.added"]["what"] == "and 5 tokens more"
    assert said["budget.added"]["uid"] == 1000
    assert said["budget.exceeded"]["what"] == "2 of 10 tokens left"
    assert said["process.scheduled"]["what"] == "interactive, weight 7, no deadline"
    assert said["model.queued"]["what"] == "waits for its turn, at most 9 tokens"


def test_a_call_that_waits_for_its_turn_is_traced_as_queued() -> None:
    opened = ev.CallOpened(pid=3, n=1, call="model_chat", argument=b"", prev=0)
    queued = ev.ModelQueued(3, 1, "m", 4, 5, 0, True, "")
    for entry, decision in ((ev.Entry(5, [opened]), "opened"), (ev.Entry(5, [opened, queued]), "queued")):
        assert next(iter(Traced(3).take(entry))).facts["decision"] == decision
