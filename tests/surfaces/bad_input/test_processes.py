"""Commands as processes: without a standard input, in a bare locale, on odd terminals, and interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.homes import make_home

FLEET = "version: 1\nname: small\nagents: {one: {instruction: hi}}\nmodels: {default: {driver: scripted}}\n"
BARE = {"PATH": os.environ["PATH"], "LANG": "C", "LC_ALL": "C"}


def slow(*values: object) -> list[Any]:
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prytany.cli", *arguments]


@pytest.mark.parametrize("given", ["/dev/null", *slow("/dev/zero", "bytes", "closed")])
def test_a_talk_ends_with_its_lines_whatever_they_come_from(tmp_path: Path, given: str) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "bytes").write_bytes(b"hello \xff\x1b[2J\n\n")
    line = words("chat", "--home", str(tmp_path / "home"))
    if given == "closed":
        line = ["sh", "-c", 'exec "$@" <&-', "sh", *line]
    with (tmp_path / (given if given == "bytes" else "fleet.yaml") if given[0] != "/" else Path(given)).open("rb") as f:
        done = subprocess.run(
            line, stdin=None if given == "closed" else f, capture_output=True, timeout=60, cwd=tmp_path, check=False
        )
    assert done.returncode == (2 if given == "/dev/zero" else 0), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert (b"hello" in done.stdout) == (given == "bytes")
    if given == "/dev/zero":
        assert b"at most" in done.stderr


def test_what_comes_from_a_closed_input_is_nothing_and_a_bare_locale_shows_escapes(tmp_path: Path) -> None:
    home = tmp_path / "hömé"
    make_home(home, count=1)
    shown = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *words("send", "1", "x", "--home", str(home))],
        capture_output=True, timeout=60, check=False, env={**BARE, "TERM": "dumb", "COLUMNS": "1"},
    )  # fmt: skip
    assert shown.returncode == 2
    first, second = shown.stderr.decode().splitlines()
    assert first == "prytany: [ESRCH] process 1 has ended"
    assert second.startswith("next: see which there are with: prytany ps --home ")


@pytest.mark.parametrize("number", [signal.SIGINT, *slow(signal.SIGTERM, signal.SIGHUP)])
def test_a_command_that_waits_is_ended_by_a_signal_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        words("send", "1", "x", "--home", str(tmp_path)),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as waiting:  # fmt: skip
        wchan = Path(f"/proc/{waiting.pid}/syscall")
        while not wchan.read_text().startswith("0 0x0 "):  # read(0, ...): it waits for its input
            assert waiting.poll() is None
        waiting.send_signal(number)
        _, said = waiting.communicate(timeout=60)
    assert b"Traceback" not in said
    assert waiting.returncode == (130 if number == signal.SIGINT else -number)
