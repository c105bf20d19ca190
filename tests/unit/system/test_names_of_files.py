"""Names that a call cannot say."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from prytany.abi.errors import Einval
from prytany.drivers.files.beneath import BeneathFiles
from prytany.journal.home import Home
from prytany.system.programs import find_program
from prytany.system.tools import tool_path
from prytany.system.unveil import unveil_for_run


def test_a_name_that_is_no_utf8_is_left_out_of_a_list(tmp_path: Path) -> None:
    for name in (b"plain.txt", "müde.txt".encode(), "müde.txt".encode("latin-1"), b"\xff"):
        (tmp_path / os.fsdecode(name)).write_text("")
    assert asyncio.run(BeneathFiles().list({str(tmp_path): "r"}, str(tmp_path))) == ["müde.txt", "plain.txt"]


def test_a_name_that_is_no_utf8_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    bad = tmp_path / os.fsdecode(b"\xff")
    for begin in (
        lambda: Home(bad), lambda: find_program(f"{bad}.py:main", ""), lambda: tool_path(bad),
        lambda: unveil_for_run(None, bad, "/x.py:main", tmp_path / "home"),
    ):  # fmt: skip
        with pytest.raises(Einval, match="no name in UTF-8"):
            begin()
    assert list(tmp_path.iterdir()) == []
