"""What the tests of models share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prytany.drivers.models import local
from tests.unit.drivers.models.turning import FAKE, Fake


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setattr(local, "PROGRAM", FAKE)
    monkeypatch.setattr(local, "ENVIRONMENT", {"FAKE_LLAMA": str(folder)})
    made = Fake(folder)
    yield made
    os.close(made.bell)
