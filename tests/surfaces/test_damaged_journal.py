"""A journal that was cut or damaged, in every way: refused with what is sound, found by verify, and kept on demand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from prytany.abi.errors import KernelError
from prytany.cli.journal import verify_home
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import read_anchor
from prytany.system.keep import keep_home
from tests.surfaces.commands import here
from tests.surfaces.homes import make_home, opens


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("closed") / "home"
    make_home(home)
    return home


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("crashed") / "home"
    make_home(home, crashed=True)
    assert (home / "journal.db-wal").stat().st_size > 0
    return home


def sql(statement: str) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        connection = apsw.Connection(str(home / "journal.db"))
        connection.execute(statement)
        connection.close()

    return damage


def cut_in_the_middle(home: Path) -> None:
    path = home / "journal.db"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def without_log(home: Path) -> None:
    (home / "journal.db-wal").unlink()
    (home / "journal.db-shm").unlink()


def cut_log(home: Path) -> None:
    path = home / "journal.db-wal"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    (home / "journal.db-shm").unlink()


def emptied(home: Path) -> None:
    (home / "journal.db").write_bytes(b"")


def no_database(home: Path) -> None:
    (home / "journal.db").write_bytes(b"what was here once is here no more. " * 1_000)


def garbled_pages(home: Path) -> None:
    path = home / "journal.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 8_192 * 8_192
    content[middle : middle + 8_192] = b"\xa5" * 8_192
    path.write_bytes(content)


WAYS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cut in the middle": ("closed", cut_in_the_middle),
    "last rows deleted": ("closed", sql("DELETE FROM rows WHERE seq > 30")),
    "a row deleted": ("closed", sql("DELETE FROM rows WHERE seq = 20")),
    "a record changed": ("closed", sql("UPDATE rows SET record = zeroblob(20) WHERE seq = 20")),
    "a hash changed": ("closed", sql("UPDATE rows SET hash = x'00112233445566778899aabbccddeeff' WHERE seq = 20")),
    "a table dropped": ("closed", sql("DROP TABLE rows")),
    "a page garbled": ("closed", garbled_pages),
    "the log removed": ("crashed", without_log),
    "the log cut": ("crashed", cut_log),
    "emptied": ("closed", emptied),
    "emptied after a crash": ("crashed", emptied),
    "no database": ("closed", no_database),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_journal_is_refused_found_and_kept(
    way: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    source, damage = WAYS[way]
    home, new = tmp_path / "home", tmp_path / "new"
    shutil.copytree(request.getfixturevalue(source), home)
    damage(home)
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.name in ("journal.db", "head", "keys")}
    log = home / "journal.db-wal"
    log_before = log.read_bytes() if log.exists() else b""

    refused = opens(home)
    assert refused is not None
    assert refused.errno == "EIO"
    sound, of = refused.detail["sound"], refused.detail["of"]
    assert isinstance(sound, int)
    assert isinstance(of, int)
    assert 0 <= sound < of
    assert f"sound up to entry {sound} of {of}" in refused.message
    assert verify_home(home, "", as_json=True) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["sound"] is False
    assert len(lines) > 1
    assert {path.name: path.read_bytes() for path in home.iterdir() if path.name in before} == before
    assert not log_before or log.read_bytes() == log_before

    if not sound:
        with pytest.raises(KernelError, match="nothing"):
            keep_home(home, new)
        return
    assert "prytany journal keep" in refused.message
    kept, known = keep_home(home, new)
    assert (kept.seq, known) == (sound, of)
    reader = SqliteReader(new / "journal.db")
    head = reader.head()
    assert head is not None
    assert read_anchor(new / "head") == (head.seq, head.hash) == (sound + 1, head.hash)
    reader.close()
    assert verify_home(new, "", as_json=False) == 0 or kept.bodies_lost or way == "cut in the middle"
    assert opens(new) is None


def test_a_home_as_a_killed_kernel_leaves_it_opens(crashed: Path, tmp_path: Path) -> None:
    shutil.copytree(crashed, tmp_path / "home")
    assert verify_home(tmp_path / "home", "", as_json=False) == 0
    assert opens(tmp_path / "home") is None


def test_a_home_whose_making_was_cut_short_opens(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "journal.db").write_bytes(b"")
    (home / "head").write_bytes(b"")
    assert opens(home) is None


def test_keys_that_are_gone_are_not_made_anew(closed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(closed, home)
    (home / "keys").unlink()
    refused = opens(home)
    assert refused is not None
    assert "keys" in refused.message


def test_the_commands_say_it_in_a_line(closed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(closed, home)
    cut_in_the_middle(home)
    for command in (("resume", "--model", "scripted"), ("ps",), ("journal", "keep", "--to", str(home))):
        done = here(*command, home=home)
        assert done.returncode == 2, command
        assert "Traceback" not in done.stderr
        assert "prytany: " in done.stderr
    assert here("journal", "verify", home=home).returncode == 1
    kept = here("journal", "keep", "--to", str(tmp_path / "new"), "--json", home=home)
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["kept"] > 0
    assert here("ps", home=tmp_path / "new").returncode == 0
    again = here("journal", "keep", "--to", str(tmp_path / "new"), home=home)
    assert again.returncode == 2
    assert "EINVAL" in again.stderr


def test_a_home_that_has_lost_its_anchor_is_not_called_sound_without_a_word(closed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(closed, home)
    assert here("journal", "verify", home=home).stderr == ""
    (home / "head").unlink()
    told = here("journal", "verify", home=home)
    assert (told.returncode, "no head is anchored" in told.stderr) == (0, True)
