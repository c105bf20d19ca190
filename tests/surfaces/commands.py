"""Prytany's commands: in a process of their own, as a user has them; or here, where only what they say is tried."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from prytany.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess[str]


def command(*arguments: str, home: Path) -> list[str]:
    """The words that start it."""
    return [sys.executable, "-m", "prytany.cli", *arguments, "--home", str(home)]


def prytany(*arguments: str, home: Path, **environment: str) -> Done:
    """In a process of its own: what runs a fleet, and what has to end as a process ends."""
    return subprocess.run(
        command(*arguments, home=home), capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def here(*arguments: str, home: Path | None = None) -> Done:
    """The same entry, in this process: half a second cheaper."""
    words = ["prytany", *arguments, *(("--home", str(home)) if home is not None else ())]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(ROOT), mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):  # fmt: skip
        try:
            main()
            code: object = 0
        except SystemExit as left:
            code = left.code or 0
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
