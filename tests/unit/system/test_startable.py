"""What keeps a service from starting is said before it is tried."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from prytany.system import startable
from prytany.system.startable import in_the_way, without_model
from tests.surfaces.commands import here


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """One that a service could reach: pytest's are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="prytany-unit-") as made:
        place = Path(made)
        place.chmod(0o755)
        monkeypatch.setattr(startable, "PRIVATE_TMP", (f"{place}/tmp",))
        for name, mode in (("venv", 0o755), ("shut", 0o700), ("tmp", 0o755)):
            (place / name).mkdir()
            (place / name / "python").write_text("")
            (place / name / "python").chmod(0o755)
            (place / name).chmod(mode)
        yield place


def test_what_can_be_reached_is_in_nobody_s_way(folder: Path) -> None:
    assert in_the_way([f"{folder}/venv", f"{folder}/nowhere", "python", ""], [f"{folder}/venv/python"]) == []


def test_an_interpreter_that_leads_into_a_shut_folder_is_named_once_with_the_folder(folder: Path) -> None:
    (folder / "venv" / "linked").symlink_to(folder / "shut" / "python")
    linked = f"{folder}/venv/linked"
    (said,) = in_the_way([], [linked, f"{folder}/shut/python"], [f"{folder}/shut"])[:1]
    assert said.startswith(f"the service's user cannot run {linked}: {folder}/shut is in the way; ")
    (folder / "venv" / "python").chmod(0o744)
    (said,) = in_the_way([], [f"{folder}/venv/python"])
    assert said.startswith(f"the service's user cannot run {folder}/venv/python; ")
    (folder / "venv" / "python").chmod(0o711)
    (said,) = in_the_way([f"{folder}/venv/python"], [])
    assert said.startswith(f"the service's user cannot read {folder}/venv/python; ")


def test_what_lies_below_tmp_is_not_there_for_the_service(folder: Path) -> None:
    (folder / "venv" / "linked").symlink_to(folder / "tmp" / "python")
    for path in (f"{folder}/tmp/python", f"{folder}/venv/linked"):
        (said,) = in_the_way([path], [])
        assert said.startswith(f"the service has a /tmp of its own, without {folder}/tmp/python")
        assert path in said
        assert "/opt" in said


def test_agents_without_a_model_are_named_and_where_the_weights_are() -> None:
    assert without_model([], "/cache/w") == ""
    assert without_model(["a", "b"], "/cache/w").startswith(
        "no model is named for a, b, and the local one is in /cache/w"
    )
    assert "local one" not in without_model(["a"], "")


def test_the_command_warns_beside_the_unit_and_in_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prytany.cli.service.find_weights", lambda: None)
    monkeypatch.setattr("prytany.cli.service._program", lambda: (f"{folder}/shut/python",))
    fleet = folder / "tmp" / "fleet.yaml"
    fleet.write_text("version: 1\nname: f\nagents: {a: {instruction: x}}\n")
    plain, said = here("service", "unit", str(fleet)), here("service", "unit", str(fleet), "--json")
    warnings = json.loads(said.stdout)["warnings"]
    assert [json.loads(line)["note"] for line in said.stderr.splitlines()] == warnings
    assert plain.stderr.splitlines() == warnings
    assert any("cannot run" in line and "shut" in line for line in warnings)
    assert any(f"without {fleet}" in line for line in warnings)
    assert any("no model is named for a" in line for line in warnings)
    mine = json.loads(here("service", "unit", str(fleet), "--user", "--json", home=folder / "home").stdout)["warnings"]
    assert [line.partition(" for ")[0] for line in mine] == ["no model is named"]
