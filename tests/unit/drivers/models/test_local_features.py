"""What the local model says of itself without a process."""

from __future__ import annotations

from pathlib import Path

from prytany.drivers.models.local import LocalModel


def test_it_is_asked_for_no_more_at_once_than_it_has_slots() -> None:
    assert LocalModel(Path("m.gguf")).features.limits.concurrency == 2
    assert LocalModel(Path("m.gguf"), slots=5).features.limits.concurrency == 5


def test_what_can_be_saved_gives_way_by_itself() -> None:
    assert LocalModel(Path("m.gguf")).features.limits.preempts == "saved"
    assert LocalModel(Path("m.gguf"), saved_bytes_max=0).features.limits.preempts == "never"
