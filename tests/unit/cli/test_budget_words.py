"""What `budget` proposes lets go on whom an account stopped, and what has ended stands still."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.control import AccountRow
from prytany.cli import budget
from prytany.cli.amounts import read_more


def row(**fields: object) -> AccountRow:
    plain: dict[str, object] = {
        "account": "run:1", "pid": 1, "name": "main", "total": {}, "minute": {}, "spent": {}, "reserved": {},
        "left": {}, "debt": {}, "minute_used": {}, "opened_ns": 1, "ends_ns": 0, "waiting": 0, "stopped": [],
        "alive": True, "now_ns": 10**18,
    }  # fmt: skip
    return AccountRow(**{**plain, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(("fields", "proposed"), [
    ({"total": {"tokens": 5}, "left": {"tokens": 0}}, "tokens=10000"),
    ({"total": {"tokens": 9, "calls": 5}, "left": {"tokens": 9, "calls": 0}}, "calls=10"),
    ({"total": {"tokens": 20_000}, "left": {"tokens": 0}, "debt": {"tokens": 1_980_001}}, "tokens=2000000"),
    ({"total": {"usd_micros": 5}, "left": {"usd_micros": 0}, "debt": {"usd_micros": 2_000_000}}, "usd=3"),
    ({"total": {"tokens": 1, "usd_micros": 1}, "debt": {"tokens": 7, "usd_micros": 1}}, "tokens=20000,usd=2"),
    ({"total": {"wall_ms": 1}, "ends_ns": 5}, "wall=1h"),
])  # fmt: skip
def test_what_is_proposed_pays_what_is_owed(fields: dict[str, dict[str, int]], proposed: str) -> None:
    account = row(**fields)
    assert budget._example(account) == proposed
    more = read_more([proposed])
    assert all(getattr(more, kind) > owed for kind, owed in account.debt.items())


def test_one_is_one_and_what_has_ended_has_no_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = row(total={"wall_ms": 60_000}, left={"wall_ms": 30_000}, ends_ns=2 * 10**18, alive=False)
    assert budget._state(ended) == ""
    assert budget._state(row(waiting=1)) == "1 call waits"
    assert budget._state(row(waiting=2)) == "2 calls wait"
    monkeypatch.setattr(budget, "with_client", lambda home, look: [ended])
    budget.show_budgets(tmp_path, "", as_json=False, every=False)
    assert "; 1 account is of what has ended, see: " in capsys.readouterr().err
