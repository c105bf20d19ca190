"""Inline agents of a fleet: trusted code of its operator, in the kernel's own loop."""

from __future__ import annotations

import json
from pathlib import Path

from tests.surfaces.commands import here

FLEET = """
version: 1
name: shop
entry: clerk
agents:
  clerk: {kind: inline, program: "clerk.py:clerk", pledge: [model]}
  broken: {kind: inline, program: "broken.py:broken", pledge: []}
models: {default: {driver: scripted}}
"""


def test_an_inline_agent_runs_as_it_was_recorded_and_one_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "rates.py").write_text("RATE = 3\n")
    (tmp_path / "clerk.py").write_text(
        "import rates\n\nasync def clerk(proc):\n    return [rates.RATE, await proc.llm('Hello?')]\n"
    )
    (tmp_path / "broken.py").write_text("1 / 0\n\nasync def broken(proc): ...\n")
    home = tmp_path / "home"
    done = here("run", str(tmp_path), "--trust", "--json", home=home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"][0] == 3
    refused = here("run", str(tmp_path), "--entry", "broken", "--trust", home=home)
    assert refused.returncode != 0
    assert "ZeroDivisionError" in refused.stderr
    assert "Traceback" not in refused.stderr
