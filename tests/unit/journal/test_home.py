import os
import subprocess
import sys
from pathlib import Path

import pytest

from prytany.abi.errors import Eacces, Ebusy, Einval, Enoent
from prytany.journal.home import FORMAT, Home


def test_a_new_home_is_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    assert (tmp_path / "a" / "home").stat().st_mode & 0o777 == 0o700
    names = ("lock", "format", "place", "placed")
    assert {p.name: p.stat().st_mode & 0o777 for p in home.path.iterdir()} == dict.fromkeys(names, 0o600)
    home.close()


def test_a_home_that_is_not_there_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(Enoent):
        Home(tmp_path / "home", create=False)
    assert not (tmp_path / "home").exists()


def test_a_second_kernel_is_told_which_process_holds_the_home(tmp_path: Path) -> None:
    first = Home(tmp_path / "home")
    with pytest.raises(Ebusy) as refused:
        Home(tmp_path / "home")
    assert refused.value.detail["pid"] == os.getpid()
    assert str(os.getpid()) in refused.value.message
    first.close()
    Home(tmp_path / "home").close()


def test_the_lock_goes_with_a_process_that_died(tmp_path: Path) -> None:
    script = (
        f"import os; from prytany.journal.home import Home, Path; Home(Path({str(tmp_path / 'home')!r})); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    Home(tmp_path / "home").close()


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o701, 0o777])
def test_a_home_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    Home(tmp_path / "home").close()
    (tmp_path / "home").chmod(mode)
    with pytest.raises(Eacces):
        Home(tmp_path / "home")


def test_a_home_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Home(tmp_path / "home").close()
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(Eacces):
        Home(tmp_path / "home")


def test_a_newer_format_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Home(tmp_path / "home").close()
    (tmp_path / "home" / "format").write_text(f"{FORMAT + 1}\n")
    with pytest.raises(Einval) as refused:
        Home(tmp_path / "home")
    assert refused.value.detail == {"format": FORMAT + 1, "known": FORMAT}
    assert (tmp_path / "home" / "format").read_text() == f"{FORMAT + 1}\n"


def test_a_refused_home_is_not_left_locked(tmp_path: Path) -> None:
    Home(tmp_path / "home").close()
    (tmp_path / "home" / "format").write_text("99\n")
    with pytest.raises(Einval):
        Home(tmp_path / "home")
    (tmp_path / "home" / "format").write_text(f"{FORMAT}\n")
    Home(tmp_path / "home").close()


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(Einval):
        Home(tmp_path / "home")
