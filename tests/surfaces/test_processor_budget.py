"""A budget of the processor as people have it: a worker that spins is stopped, and goes on with more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.surfaces.commands import here
from tests.surfaces.test_sessions import up

FLEET = """
version: 1
name: mill
models: {default: {driver: scripted}}
agents:
  spinner: {program: "spin.py:spin", service: true, budget: {processor_s: 0.2}}
"""
SPIN = "async def spin(proc):\n    while True:\n        for _ in range(100_000):\n            pass\n"


def spinner(home: Path) -> dict[str, Any]:
    """What `ps` says of it."""
    done = here("ps", "--json", home=home)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return found


def test_a_worker_that_spins_is_stopped_with_its_reason_and_goes_on_with_more(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "spin.py").write_text(SPIN)
    with up(tmp_path) as (home, _):
        while (row := spinner(home))["state"] != "stopped":
            pass
        assert row["reason"] == "budget: tree:1 has used its 0.2 s of processor"
        why = here("why", "1", home=home).stderr
        assert "prytany budget 1 --add processor=60s" in why
        added = here("budget", "1", "--add", "processor=500ms", home=home)
        assert added.stdout.splitlines() == [
            "tree:1 may take 0.7 s of processor", "1 process that stood still for want of it goes on",
        ]  # fmt: skip
        while (row := spinner(home))["state"] != "stopped":
            pass
        assert row["reason"] == "budget: tree:1 has used its 0.7 s of processor"
