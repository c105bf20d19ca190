"""Looking at a home that is not there is an errno, and makes none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prytany.abi.errors import Enoent
from prytany.cli.inspect import inspect_process
from prytany.cli.journal import show_head
from prytany.cli.listing import list_processes, show_log, trace_process


@pytest.mark.parametrize(
    "look",
    [
        lambda home: list_processes(home, False),
        lambda home: trace_process(home, "1", False),
        lambda home: show_log(home, "1"),
        lambda home: inspect_process(home, "1", False),
        show_head,
    ],
    ids=["ps", "trace", "logs", "inspect", "head"],
)
def test_a_home_that_is_not_there_is_enoent(tmp_path: Path, look: Callable[[Path], None]) -> None:
    with pytest.raises(Enoent):
        look(tmp_path / "home")
    assert not (tmp_path / "home").exists()
