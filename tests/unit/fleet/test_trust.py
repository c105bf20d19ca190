"""What reaches outside of a fleet's folder is asked about, by whatever key it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.fleet.trust import what_is_trusted


@pytest.mark.parametrize(
    ("agent", "asked"),
    [
        ("instruction: hi", []), ("{instruction_from: own.md, skills: [inside]}", []),
        ("{instruction_from: ../theirs.md}", ["tells its model what stands in"]),
        ("{instruction_from: way/theirs.md}", ["tells its model what stands in"]),
        ("{instruction_from: ..}", ["tells its model what stands in"]),
        ("{instruction: hi, skills: [inside, ..]}", ["may read"]),
        ("{instruction: hi, skills: [way]}", ["may read"]),
        ("{instruction: hi, unveil: {way: r, ../far: rw}}", ["may read", "may write to"]),
    ],
)  # fmt: skip
def test_what_lies_elsewhere_has_to_be_trusted(tmp_path: Path, agent: str, asked: list[str]) -> None:
    folder = tmp_path / "fleet"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    (folder / "own.md").write_text("mine")
    for name in ("theirs.md", "AGENTS.md"):
        (tmp_path / name).write_text("theirs")
    (folder / "way").symlink_to("..")
    agent = agent if agent.startswith("{") else f"{{{agent}}}"
    (folder / "fleet.yaml").write_text(f"version: 1\nname: a\nagents: {{one: {agent}}}\n")
    loaded = load_fleet(folder / "fleet.yaml", {})
    said = what_is_trusted(resolve(loaded.fleet, folder, {}))
    assert [next(words for words in asked if words in line) for line in said] == asked
