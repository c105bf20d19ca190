"""A log is bounded at every moment, and says how much went before what is there, whatever was printed."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random  # noqa: TID251 seeded

import pytest

from prytany.abi import limits
from prytany.cli.logs import show_logs
from prytany.system.logs import Log, Logs, printed_since, read_log
from tests.surfaces.homes import make_home

BYTES_MAX = 1_000


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logs:
    monkeypatch.setattr(limits, "LOG_BYTES_MAX", BYTES_MAX)
    return Logs(tmp_path)


def check(tmp_path: Path, printed: bytes) -> int:
    """What was printed is what is kept and what went before it; how much went."""
    log = read_log(tmp_path, 1)
    assert log is not None
    assert printed.endswith(log.printed)
    assert log.dropped + len(log.printed) == len(printed)
    assert (tmp_path / "logs" / "1.log").stat().st_size <= BYTES_MAX
    return log.dropped


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_and_what_was_dropped_is_all_that_was_printed(tmp_path: Path, logs: Logs, seed: int) -> None:
    rng = Random(seed)
    alphabet = rng.choice([b"ab\n", b"x", b"\x00\n", b"\x1b[31m\xff\x00dropped 7\n"])
    printed = b""
    for _ in range(200):
        data = bytes(rng.choices(alphabet, k=rng.choice([1, 2, 40, 400, 3_000])))
        logs = rng.choice([logs, Logs(tmp_path)])  # another kernel goes on with it
        logs.append(1, data)
        printed += data
        check(tmp_path, printed)
    assert check(tmp_path, printed) > 0
    assert sorted(os.listdir(tmp_path / "logs")) == ["1.log", "1.times"]


@pytest.mark.parametrize("first", [b"\x00dropped 5\nmine\n", b"\x00", b"\x00dropped 5\n"])
def test_a_program_cannot_say_that_something_was_dropped(tmp_path: Path, logs: Logs, first: bytes) -> None:
    logs.append(1, first)
    logs.append(1, b"dropped 5\nmine\n")
    assert check(tmp_path, first + b"dropped 5\nmine\n") == 0


def test_a_line_that_is_whole_begins_what_is_kept(tmp_path: Path, logs: Logs) -> None:
    for number in range(100):
        logs.append(1, b"line %03d of this\n" % number)
    assert logs.read(1).startswith(b"line ")


def test_one_line_without_an_end_is_cut_and_not_lost(tmp_path: Path, logs: Logs) -> None:
    logs.append(1, b"y" * 5_000)
    assert len(logs.read(1)) == BYTES_MAX // 2


def test_logs_shows_what_was_dropped_and_escapes_what_was_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    make_home(home, count=1)
    monkeypatch.setattr(limits, "LOG_BYTES_MAX", BYTES_MAX)
    logs = Logs(home)
    logs.append(1, b"red \x1b[31m\x00 and \xe2\x80\xae\n")
    show_logs(home, ["1"])
    assert capsys.readouterr().out == "red \\x1b[31m\\x00 and \\u202e\n"
    for _ in range(100):
        logs.append(1, b"red \x1b[31m\x00 and \xe2\x80\xae\n")
    show_logs(home, ["1"])
    shown = capsys.readouterr().out.splitlines()
    log = read_log(home, 1)
    assert log is not None
    assert shown[0] == f"[prytany: {log.dropped} bytes that it printed before this were dropped]"
    assert set(shown[1:]) == {"red \\x1b[31m\\x00 and \\u202e"}


def test_when_something_was_printed_is_known_to_a_second_and_forgotten_with_it(tmp_path: Path, logs: Logs) -> None:
    now = [10_000_000_000]
    logs = Logs(tmp_path, lambda: now[0])
    assert printed_since(tmp_path, 1, 0) is None
    for _ in range(30):
        logs.append(1, b"0123456789abcdef0123456789abcde\n")
        now[0] += 500_000_000
    assert printed_since(tmp_path, 1, 0) == 0
    assert printed_since(tmp_path, 1, 12_000_000_000) == 32 * 4
    assert printed_since(tmp_path, 1, 12_900_000_000) == 32 * 4
    assert printed_since(tmp_path, 1, 99_000_000_000) == 1 << 63
    for _ in range(200):
        logs.append(1, b"0123456789abcdef0123456789abcde\n")
        now[0] += 2_000_000_000
    log = read_log(tmp_path, 1)
    assert log is not None
    first = printed_since(tmp_path, 1, 0)
    assert first is not None
    assert log.dropped - 64 <= first <= log.dropped
    assert (tmp_path / "logs" / "1.times").stat().st_size <= 16 * (BYTES_MAX // 32 + 2)
    (tmp_path / "logs" / "1.times").write_bytes(b"half")
    assert printed_since(tmp_path, 1, 0) is None
    assert logs.forget(1)
    assert os.listdir(tmp_path / "logs") == []


def test_a_log_is_read_from_any_place_on(tmp_path: Path, logs: Logs) -> None:
    logs.append(1, b"".join(b"%04d\n" % n for n in range(BYTES_MAX // 2)))
    whole = read_log(tmp_path, 1)
    assert whole is not None
    assert whole.dropped > 0
    for after in (0, whole.dropped, whole.dropped + 7, whole.end, whole.end + 9, 1 << 62):
        begins = min(max(after, whole.dropped), whole.end)
        assert read_log(tmp_path, 1, after) == Log(begins, whole.printed[begins - whole.dropped :])
