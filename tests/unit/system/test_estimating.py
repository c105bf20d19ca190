"""What a run will take, by what earlier ones took."""

from __future__ import annotations

from prytany.abi.control import ProcessRow, UsageRow
from prytany.cli.may_spend import words_of_estimate
from prytany.system.estimating import Sample, estimate, of_rows


def _row(
    pid: int, tokens: int, *, status: int = 0, state: str = "terminated", program: str = "p.py:main"
) -> ProcessRow:
    return ProcessRow(
        pid=pid, parent=0, run=pid, name="main", state=state, reason="", status=status, pledge=[], calls=1, denials=0,
        tokens=tokens, cost_usd_micros=tokens, program=program, wall_us=5_000_000,
        tree=UsageRow(prompt_tokens=tokens, cost_usd_micros=tokens, model_calls=1 if tokens else 0),
    )  # fmt: skip


def test_it_is_the_median_and_the_range_of_runs_that_ended_and_asked_a_model() -> None:
    rows = [_row(1, 10), _row(2, 30, status=1), _row(3, 20), _row(4, 0), _row(5, 99, state="running"),
            _row(6, 1_000, program="q.py:main")]  # fmt: skip
    found = of_rows(rows, "p.py:main")
    assert found is not None
    assert (found.runs, found.failed) == (3, 1)
    assert (found.tokens.least, found.tokens.median, found.tokens.most) == (10, 20, 30)
    assert found.wall_ms.median == 5_000
    assert "3 runs, of which 1 failed" in words_of_estimate(found)


def test_where_there_is_no_history_there_is_no_estimate() -> None:
    assert of_rows([_row(1, 10)], "other.py:main") is None
    assert of_rows([_row(1, 10)], "p.py:main", "fleet", "agent") is None
    assert estimate([]) is None
    assert estimate([Sample(tokens=0)]) is None


def test_one_run_is_said_to_be_one() -> None:
    found = of_rows([_row(1, 10)], "p.py:main")
    assert found is not None
    assert words_of_estimate(found).startswith("1 run, which took 10 tokens")
