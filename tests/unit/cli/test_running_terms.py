"""What `run` and `resume` are told reaches the kernel that they begin, whatever it is that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prytany.abi.budgets import KEPT, Bounds
from prytany.abi.qos import Qos
from prytany.cli import fleet, run
from prytany.cli.run import Terms
from tests.surfaces.commands import here

GIVEN = ("--running", "7", "--running-of", "background=2", "--running-of", "utility=3", "--plain", "--unconfined")
PROGRAM = "from prytany import agent\n\n\n@agent()\nasync def main(proc):\n    return 1\n"
FLEET = "version: 1\nname: one\nagents: {desk: {instruction: Answer.}}\n"


@pytest.mark.parametrize("what", ["program", "fleet", "resume"])
def test_the_terms_of_a_run_are_those_that_were_given(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    heard: list[Terms] = []

    def begun(terms: Terms, *_: Any, **__: Any) -> int:
        heard.append(terms)
        return 0

    monkeypatch.setattr(run, "run_program", begun)
    monkeypatch.setattr(run, "resume", begun)
    monkeypatch.setattr(fleet, "run_fleet", begun)
    words = {
        "program": ("run", f"{tmp_path}/program.py:main", "--tag", "night", "--budget", "calls=5"),
        "fleet": ("run", str(tmp_path), "--tag", "night", "--budget", "calls=5"),
        "resume": ("resume",),
    }[what]
    done = here(*words, *GIVEN, "--model", "scripted", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    (terms,) = heard
    assert (terms.running_max, terms.model, terms.plain, terms.unconfined) == (7, "scripted", True, True)
    assert dict(terms.running_of) == {Qos.BACKGROUND: 2, Qos.UTILITY: 3}
    if what != "resume":
        assert tuple(terms.tags) == ("night",)
        assert terms.budget is not None
        assert terms.budget.total == Bounds(calls=5, tokens=KEPT, usd_micros=KEPT, wall_ms=KEPT, processor_ms=KEPT)
