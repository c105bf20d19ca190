"""What is said of fleets is true: which are up, which went with their runs, and how a home goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.control import Change, FleetRow, Plan, Status
from prytany.cli.going_on import go_on
from prytany.cli.plan import show_plan
from prytany.cli.status import _fleet

HOME = Path("/h")


def row(name: str, *, stays: bool = False, processes: int = 1) -> FleetRow:
    return FleetRow(number=1, name=name, stays=stays, agents={"desk": ""}, models=[], processes=processes)


def status(*fleets: FleetRow, **states: int) -> Status:
    return Status(
        version="1", os_pid=0, home="/h", confined=True, head=1, time_ns=1, processes=sum(states.values()), running=0,
        ready=0, incidents=0, running_max=1, fleets=list(fleets), states=states,
    )  # fmt: skip


def test_a_home_without_a_kernel_goes_on_with_what_is_true() -> None:
    assert go_on(status(terminated=2), HOME) == "every run has ended"
    assert go_on(status(), HOME) == "every run has ended"
    assert go_on(status(terminated=2, waiting=1), HOME) == "go on with: prytany resume --home /h"
    both = go_on(status(row("shop", stays=True), row("old"), waiting=1), HOME)
    assert both == "in the folder of shop, go on with: prytany up --home /h"


def test_what_was_brought_for_single_runs_is_one_line() -> None:
    assert _fleet([row("shop")]) == "shop (goes with its last process): 1 process; agents desk"
    assert _fleet([row("shop"), row("shop", processes=2)]) == (
        "shop (of 2 runs; each goes with its last process): 3 processes; agents desk"
    )


@pytest.mark.parametrize(
    ("was_down", "said"), [(True, "is up now, as it was before"), (False, "is up as it is; nothing changed")]
)
def test_a_fleet_that_was_down_is_not_said_to_be_up_as_it_is(
    was_down: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_plan(Plan(fleet="shop", number=1), False, was_down=was_down)
    assert capsys.readouterr().out == f"the fleet shop {said}\n"
    show_plan(Plan(fleet="shop", number=1, changes=[Change(sign="+", kind="agent", name="a")]), False, was_down=True)
    assert capsys.readouterr().out.splitlines()[-1] == "the fleet shop is up"
