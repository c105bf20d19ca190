"""What a home takes, by part, whatever lies in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prytany.abi.errors import Enoent
from prytany.system.usage import disk_use
from tests.surfaces.homes import make_home


def test_the_parts_are_the_files_and_add_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home, count=3)
    (home / "logs").mkdir(exist_ok=True)
    (home / "logs" / "1.log").write_bytes(b"x" * 1_000)
    (home / "logs" / "2.log").symlink_to("/etc/passwd")
    os.mkfifo(home / "fifo")
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    use = disk_use(home)
    assert use.total == size
    assert use.total == use.journal + use.logs + use.reserve + use.other
    assert (use.logs, use.reserve) == (1_000, (home / "reserve").stat().st_size)
    assert 0 < use.snapshots < use.journal
    assert use.free > 0


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_journal_that_cannot_be_read_has_a_size_all_the_same(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal.db").write_bytes(content)
    use = disk_use(tmp_path)
    assert (use.journal, use.snapshots, use.unused) == (len(content), 0, 0)


def test_no_home_is_said(tmp_path: Path) -> None:
    with pytest.raises(Enoent):
        disk_use(tmp_path / "nowhere")
