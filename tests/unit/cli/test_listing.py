"""Looking at a home that is not there is an errno, and makes none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prytany.abi.errors import Einval, Enoent, Esrch, KernelError
from prytany.cli.inspect import inspect_process
from prytany.cli.journal import show_head
from prytany.cli.listing import list_processes
from prytany.cli.logs import show_logs
from prytany.cli.trace import trace_process
from tests.surfaces.homes import make_home


@pytest.mark.parametrize(
    "look",
    [
        lambda home: list_processes(home, False),
        lambda home: trace_process(home, "1", False),
        lambda home: show_logs(home, ["1"]),
        lambda home: inspect_process(home, "1", False),
        show_head,
    ],
    ids=["ps", "trace", "logs", "inspect", "head"],
)
def test_a_home_that_is_not_there_is_enoent(tmp_path: Path, look: Callable[[Path], None]) -> None:
    with pytest.raises(Enoent):
        look(tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("name", "error"), [("9", Esrch), ("tools.shop", Enoent), ("tools.", Einval), ("x/y", Einval)])
def test_the_log_of_what_is_not_there_is_an_errno_and_leaves_nothing(
    tmp_path: Path, name: str, error: type[KernelError]
) -> None:
    make_home(tmp_path / "home", count=1)
    shutil.rmtree(tmp_path / "home" / "logs")
    show_logs(tmp_path / "home", ["1"])
    with pytest.raises(error):
        show_logs(tmp_path / "home", [name])
    with pytest.raises(Enoent):
        show_logs(tmp_path, ["1"])
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "home" / "logs").exists()
