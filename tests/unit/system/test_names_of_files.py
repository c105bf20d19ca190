"""Names that a call cannot say."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from prytany.drivers.files.beneath import BeneathFiles


def test_a_name_that_is_no_utf8_is_left_out_of_a_list(tmp_path: Path) -> None:
    for name in (b"plain.txt", "müde.txt".encode(), "müde.txt".encode("latin-1"), b"\xff"):
        (tmp_path / os.fsdecode(name)).write_text("")
    assert asyncio.run(BeneathFiles().list({str(tmp_path): "r"}, str(tmp_path))) == ["müde.txt", "plain.txt"]
