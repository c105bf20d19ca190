"""A home that somebody else has made is looked at without a hang, a traceback or a step outside of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eacces, Eio, Enoent, KernelError
from prytany.cli.home import find_home
from prytany.cli.journal import show_head, verify_home
from prytany.cli.listing import list_processes
from prytany.cli.logs import show_logs
from prytany.cli.trace import trace_process
from prytany.drivers.stores.reserve import Reserve
from prytany.journal.chain import next_hash
from prytany.journal.digests import Keyring
from prytany.journal.home import Home
from prytany.ports.store import StoreError
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from tests.surfaces.homes import make_home, opens

ENDLESS = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a)"
VIEWS = {
    "rows": "SELECT n seq, zeroblob(16) hash, x'' record, x'' bodies FROM a",
    "bodies": "SELECT n tenant, x'00' digest, n key_id, x'' content FROM a",
    "snapshots": "SELECT n id, n seq, x'' hash, '' version, x'' state, x'' digest FROM a",
}
LOOKS: list[Callable[[Path], object]] = [
    lambda home: list_processes(home, False),
    lambda home: trace_process(home, "2", False),
    show_head,
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "home"
    make_home(home, count=3)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(made, home, ignore=shutil.ignore_patterns("control"))
    home.chmod(0o700)
    return home


def change(home: Path, script: str) -> None:
    with closing(sqlite3.connect(home / "journal.db")) as database:
        database.executescript(script)


def add_record(home: Path, record: bytes) -> None:
    """A well-chained entry that says `record`, and no anchor that knows better."""
    with closing(sqlite3.connect(home / "journal.db")) as database, database:
        seq, hash_ = database.execute("SELECT seq, hash FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
        row = (seq + 1, next_hash(hash_, record), record, b"")
        database.execute("INSERT INTO rows VALUES(?, ?, ?, ?)", row)
    (home / "head").unlink()


@pytest.mark.parametrize("table", VIEWS)
def test_an_endless_view_in_the_place_of_a_table_is_not_read(home: Path, table: str) -> None:
    change(home, f"ALTER TABLE {table} RENAME TO was; CREATE VIEW {table} AS {ENDLESS} {VIEWS[table]};")
    for look in LOOKS:
        with pytest.raises((KernelError, StoreError), match="not those of a journal"):
            look(home)
    assert verify_home(home, "", False) == 1
    error = opens(home)
    assert error is not None
    assert "not those of a journal" in error.message


def test_a_trigger_is_not_fired(home: Path) -> None:
    change(home, "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END;")
    assert isinstance(opens(home), Eio)


def test_a_damaged_schema_says_nothing_to_the_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rename = "UPDATE sqlite_schema SET sql = 'CREATE', name = 'x' || char(27) || '[2J' WHERE name = 'rows';"
    change(home, f"PRAGMA writable_schema = ON; {rename}")
    assert verify_home(home, "", False) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\\x1b" in said, "the name is there, and harmless"


@pytest.mark.parametrize(
    "record",
    [
        b"\xc1",
        b"\x92\x01\x91\x92\xa2\xff\xfe\x01",
        b"\x92\x01\x91" + b"\x91" * 400_000 + b"\xc0",
        ev.encode_entry(ev.Entry(1, [ev.ProcessExited(-5, 0, 0, "", b"")])),
        ev.encode_entry(ev.Entry(1, [ev.ProcessReady((1 << 63) - 1, 1)])),
        ev.encode_entry(ev.Entry(1, [ev.IncidentOpened(77, "a:b\x1b[2J", 3), ev.ProcessReaped(12_345)])),
    ],
    ids=["no msgpack", "no text", "deep", "a negative pid", "a huge pid", "of nobody"],
)
def test_an_entry_that_no_kernel_wrote_is_refused(
    home: Path, record: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    add_record(home, record)
    with pytest.raises(Eio):
        list_processes(home, False)
    assert isinstance(opens(home), Eio)
    with suppress(Eio):
        trace_process(home, "2", False)
    verify_home(home, "", False)
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["head", "keys", "reserve", "format"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(home: Path, name: str) -> None:
    (home / name).unlink()
    os.mkfifo(home / name)
    assert isinstance(opens(home), Eio)
    if name == "head":
        assert verify_home(home, "", False) == 1


def test_a_keyring_that_was_made_up_is_damage() -> None:
    for packed in (b"\xc1", b"\x93\x01\x01\x91\x93\x01\x01\xc4\x01x"):
        from hashlib import blake2b

        with pytest.raises(Eio):
            Keyring.load(blake2b(packed, digest_size=16).digest() + packed, os.urandom)


def test_a_log_that_is_a_link_or_a_pipe_leads_nowhere(home: Path, tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("mine")
    logs = Logs(home)
    logs.path(2).unlink(missing_ok=True)
    logs.path(2).symlink_to(tmp_path / "profile")
    os.mkfifo(logs.path(3))
    logs.append(2, b"printed")
    logs.append(3, b"printed")
    assert (tmp_path / "profile").read_text() == "mine"
    for pid in ("2", "3"):
        with pytest.raises(Eio):
            show_logs(home, [pid])


def test_a_reserve_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "reserve")
    with pytest.raises(StoreError):
        Reserve(tmp_path / "reserve", 4_096)


@pytest.mark.parametrize("what", ["a file", "a link"])
def test_a_folder_of_logs_that_is_none_is_refused(home: Path, tmp_path: Path, what: str) -> None:
    shutil.rmtree(home / "logs")
    (tmp_path / "elsewhere").mkdir()
    if what == "a file":
        (home / "logs").write_text("")
    else:
        (home / "logs").symlink_to(tmp_path / "elsewhere")
    assert isinstance(opens(home), Eio)
    with pytest.raises(Eio):
        show_logs(home, ["2"])


def test_a_home_that_is_not_there_has_no_logs_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Enoent):
        show_logs(tmp_path / "nowhere", ["2"])


class TestFound:
    """What is found from the current folder upwards."""

    @pytest.fixture
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.delenv("PRYTANY_HOME", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        place = tmp_path / "outer" / "project"
        (place / "below").mkdir(parents=True)
        monkeypatch.chdir(place / "below")
        return place

    def test_a_home_of_ours_is_found(self, place: Path) -> None:
        (place / ".prytany").mkdir(mode=0o700)
        assert find_home(None) == place / ".prytany"

    def test_one_that_was_begun_here_is_found_and_one_that_came_with_the_folder_is_not(self, place: Path) -> None:
        Home(place / ".prytany").close()
        (place / ".prytany" / "journal.db").touch()
        assert find_home(None) == place / ".prytany"
        place.rename(place.with_name("renamed"))
        assert find_home(None).parent.name == "renamed"
        shutil.copytree(place.with_name("renamed") / ".prytany", place.with_name("renamed") / "below" / ".prytany")
        with pytest.raises(Eacces, match="was not begun here"):
            find_home(None)

    @pytest.mark.parametrize("name", ["journal.db", "trusted", "workers", "keys"])
    @pytest.mark.parametrize("said", [None, "", "0", "1"])
    def test_what_would_be_believed_is_not_without_the_mark(self, place: Path, name: str, said: str | None) -> None:
        (place / ".prytany").mkdir(mode=0o700)
        (place / ".prytany" / name).touch()
        if said is not None:
            (place / ".prytany" / "place").touch()
            (place / ".prytany" / "placed").write_text(said)
        with pytest.raises(Eacces, match="was not begun here"):
            find_home(None)

    def test_one_that_was_named_and_opened_is_found_from_then_on(
        self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def use(home: Path) -> None:
            await (await Shard.open(home, {}, unconfined=True)).close()

        asyncio.run(use(tmp_path / "made"))
        shutil.copytree(tmp_path / "made", place / ".prytany", ignore=shutil.ignore_patterns("reserve"))
        with pytest.raises(Eacces):
            find_home(None)
        asyncio.run(use(place / ".prytany"))
        assert find_home(None) == place / ".prytany"

    def test_a_link_is_passed_over(self, place: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir(mode=0o700)
        (place / ".prytany").symlink_to(tmp_path / "mine")
        assert find_home(None) == tmp_path / "state" / "prytany"

    def test_one_that_others_could_exchange_is_passed_over_and_that_is_said_once(
        self, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (place / ".prytany").mkdir(mode=0o700)
        place.chmod(0o777)
        assert find_home(None) == find_home(None) == tmp_path / "state" / "prytany"
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"{place}/.prytany is passed over: everybody may write to {place}")
        place.chmod(0o1777)
        assert find_home(None) == place / ".prytany"

    def test_what_is_named_is_plain_where_that_is_the_same(self, place: Path, tmp_path: Path) -> None:
        assert find_home(Path("../../mine")) == tmp_path / "outer" / "mine"
        (tmp_path / "link").symlink_to(place / "below")
        assert find_home(tmp_path / "link" / ".." / "x") == tmp_path / "link" / ".." / "x", "it is in the project"

    def test_who_names_an_empty_home_or_the_folder_around_one_is_told_what_to_name(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place / ".prytany").mkdir(mode=0o700)
        (place / "fleet.yaml").write_text("")
        with pytest.raises(Enoent) as empty:
            list_processes(place / ".prytany", False)
        home = f"--home {place}/.prytany"
        advice = f"begin with: prytany up {place} {home}, or: prytany run {place} {home}"
        assert empty.value.__notes__ == [f"nothing was run here yet; {advice}"]
        monkeypatch.chdir(place)
        with pytest.raises(Enoent) as around:
            list_processes(place, False)
        assert around.value.__notes__ == [f"the home in there is {place}/.prytany: name that one, with {home}"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
    def test_one_of_somebody_else_is_passed_over(self, place: Path, tmp_path: Path) -> None:
        (place / ".prytany").mkdir(mode=0o700)
        os.chown(place / ".prytany", 12_345, 12_345)
        assert find_home(None) == tmp_path / "state" / "prytany"


def test_nothing_is_said_to_what_listens_in_the_home_of_somebody_else(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(Eacces):
        list_processes(home, False)
