"""A run whose standard streams are closed or cannot be written, as under cron or where the disk of a log is full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.surfaces.commands import ROOT, command

PROGRAM = "async def main(proc):\n    await proc.sleep(0.001)\n    return 'done'\n"


@pytest.mark.parametrize("how", ["<&-", "<&- 2>&-", "2>/dev/full"])
def test_a_run_ends_as_it_does_with_them(tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    words = command("run", f"{tmp_path}/program.py:main", "--model", "scripted", home=tmp_path / "home")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {how}', "sh", *words], stdout=subprocess.PIPE, text=True, timeout=60, cwd=ROOT,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n")
