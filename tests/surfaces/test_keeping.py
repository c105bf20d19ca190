"""A home as one file and back: consistent beside a kernel that writes, refused where it is not believed, stopped where
it is brought back."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Ebusy, Einval, Eio, Enoent, KernelError
from prytany.cli.journal import verify_home
from prytany.cli.reader import open_reader
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_copy import SqliteCopyReader
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.home import FORMAT
from prytany.kernel.folding import fold_from_start
from prytany.kernel.restored import REASON
from prytany.ports.store import StoreError
from prytany.process.process import State
from prytany.system.backup import make_archive, make_backup
from prytany.system.logs import Logs
from prytany.system.restoring import check_backup, restore_home
from tests.surfaces import homes
from tests.surfaces.commands import here

SAID = "what was said to the first process"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 has ended, 2 waits for a time, 3 is stopped by a person."""
    home = tmp_path_factory.mktemp("made") / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        operator = shard.kernel.operator
        await operator.wait_ended(homes.spawn(shard, home, "says", SAID, 400, "end"))
        for _ in range(2):
            pid = homes.spawn(shard, home, "says", "living", 2_000, "wait")
            while not shard.kernel.table.require(pid).open:  # noqa: ASYNC110
                await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        operator.signal(pid, 19, uid=0)
        await shard.close()

    asyncio.run(run())
    Logs(home).append(1, b"printed")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    shutil.copy(made.parent / "program.py", tmp_path / "program.py")
    return tmp_path / "home"


@pytest.fixture
def backup(home: Path, tmp_path: Path) -> Path:
    make_backup(home, tmp_path / "b", logs=True)
    return tmp_path / "b"


def head_of(home: Path) -> Head:
    found = read_anchor(home / "head")
    assert found is not None
    return found


def said(*arguments: str, home: Path | None = None) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Exit code, last line of output and last of errors of a command with --json."""
    done = here(*arguments, "--json", home=home)
    out, err = ([json.loads(line) for line in text.splitlines()] for text in (done.stdout, done.stderr))
    return done.returncode, out[-1] if out else {}, err[-1] if err else {}


def test_a_backup_is_private_one_file_and_says_what_is_in_it(home: Path, tmp_path: Path) -> None:
    os.umask(0o022)
    code, out, _ = said("backup", str(tmp_path / "b"), "--verify", home=home)
    head = head_of(home)
    assert code == 0
    assert (out["head"], out["entries"]) == (f"{head.seq}:{head.hash.hex()}", head.seq)
    assert (out["bytes"], out["verified"]) == ((tmp_path / "b").stat().st_size, True)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"home", "program.py", "b"}
    reader = SqliteCopyReader(tmp_path / "b")
    assert [name for name, _ in reader.files()] == ["about", "keys"]
    reader.close()


def test_nothing_is_overwritten_unasked_and_never_with_a_half(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").write_text("mine")
    assert said("backup", str(tmp_path / "b"), home=home)[2]["errno"] == "EINVAL"
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(5, "the disk failed")))
    assert said("backup", str(tmp_path / "b"), "--force", home=home)[2]["errno"] == "EIO"
    assert (tmp_path / "b").read_text() == "mine"
    assert not (tmp_path / ".b.unfinished").exists()
    monkeypatch.undo()
    (tmp_path / ".b.unfinished").write_text("left by one that was killed" * 10_000)
    assert said("backup", str(tmp_path / "b"), "--force", home=home)[0] == 0
    assert check_backup(tmp_path / "b").report.sound


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_file_that_a_killed_command_left_two_names_has_one_again(
    home: Path, backup: Path, tmp_path: Path, force: tuple[str, ...]
) -> None:
    os.link(backup, tmp_path / ".b.unfinished")
    code, _, error = said("backup", str(backup), *force, home=home)
    assert (code, error.get("errno", "")) == ((0, "") if force else (2, "EINVAL"))
    assert not (tmp_path / ".b.unfinished").exists()
    assert check_backup(backup).report.sound


def test_a_disk_without_locks_is_said_to_be_one(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = (home / "journal.db").read_bytes()
    monkeypatch.setattr("fcntl.flock", refused)
    for words in (("backup", str(tmp_path / "b")), ("journal", "forget", "1"), ("journal", "keep", "--to", "new")):
        error = said(*words, home=home)[2]
        assert (error["errno"], os.strerror(errno.ENOLCK) in error["message"]) == ("EIO", True)
    with pytest.raises(StoreError, match=os.strerror(errno.ENOLCK)):
        SqliteStore(tmp_path / "journal.db")
    assert (home / "journal.db").read_bytes() == before
    assert not (tmp_path / "b").exists()


WRONG_KIND = {
    "a backup as home": ("journal", "verify", "--home", "b"), "an archive as home": ("ps", "--home", "a"),
    "a folder as backup": ("restore-home", "home", "--home", "new"),
    "an archive as backup": ("restore-home", "a", "--home", "new"),
    "a backup as archive": ("journal", "verify", "--archive", "b", "--home", "home"),
    "a home as archive": ("journal", "verify", "--archive", "home", "--home", "home"),
    "a store as backup": ("restore-home", "home/journal.db", "--home", "new"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_KIND)
def test_who_gives_a_command_another_kind_of_thing_is_told_what_it_takes(
    home: Path, backup: Path, tmp_path: Path, name: str
) -> None:
    make_archive(home, tmp_path / "a", 4)
    files = {path.name for path in tmp_path.iterdir()}
    code, out, error = said(*(str(tmp_path / word) if word in files or word in ("new", "home/journal.db") else word
                              for word in WRONG_KIND[name]))  # fmt: skip
    assert (code, out) == (2, {})
    assert error["errno"] in ("EIO", "EINVAL")
    assert any(advice in error["next"] for advice in ("prytany restore-home FILE", "that prytany backup has made",
                                                      "that prytany journal archive has made"))  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("place", ["home/b", "home/journal.db", "home/logs/b", "nowhere/b", "folder", "fifo"])
def test_a_backup_is_not_put_where_it_cannot_be_kept(home: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    before = (home / "journal.db").read_bytes()
    with pytest.raises((Einval, Enoent)):
        make_backup(home, tmp_path / place, force=True)
    assert (home / "journal.db").read_bytes() == before


@pytest.mark.parametrize("planted", ["link", "second name", "fifo"])
def test_what_was_planted_in_the_place_of_an_unfinished_copy_leads_nowhere(
    home: Path, backup: Path, tmp_path: Path, planted: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    (mine / "dear").write_text("dear")
    if planted == "link":
        (tmp_path / ".c.unfinished").symlink_to(mine / "dear")
        (tmp_path / ".new.unfinished").symlink_to(mine)
        with pytest.raises(Eio):
            restore_home(backup, tmp_path / "new")
    elif planted == "fifo":
        os.mkfifo(tmp_path / ".c.unfinished")
    else:
        os.link(mine / "dear", tmp_path / ".c.unfinished")
    with pytest.raises(Eio):
        make_backup(home, tmp_path / "c")
    assert (mine / "dear").read_text() == "dear"


def test_two_do_not_write_one_backup(home: Path, tmp_path: Path) -> None:
    def second(seq: int) -> None:
        with pytest.raises(Ebusy):
            make_backup(home, tmp_path / "b")

    from prytany.system import backup as module

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "PROGRESS_ROWS", 1)
    make_backup(home, tmp_path / "b", progress=second)
    patch.undo()
    assert check_backup(tmp_path / "b").report.sound


def test_a_backup_beside_a_kernel_that_writes_is_of_one_moment(home: Path, tmp_path: Path) -> None:
    async def run() -> int:
        shard = await homes.open_home(home)
        writing = homes.spawn(shard, home, "steps", 400, 8_000)
        ended = asyncio.ensure_future(shard.kernel.operator.wait_ended(writing))
        made = await asyncio.to_thread(make_backup, home, tmp_path / "b")
        assert made.head.seq <= shard.kernel.ledger.journal.head.seq
        await ended
        later = shard.kernel.ledger.journal.head.seq
        await shard.close()
        assert later > made.head.seq
        return made.head.seq

    entries = asyncio.run(run())
    checked = check_backup(tmp_path / "b")
    assert checked.report.sound
    assert checked.about.entries == checked.report.rows == entries


def test_a_kernel_that_writes_while_its_journal_is_opened_to_be_verified_is_no_damage(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_on(home: Path, **more: bool) -> SqliteReader:
        reader = open_reader(home, **more)
        assert homes.opens(home) is None
        return reader

    before = head_of(home)
    monkeypatch.setattr("prytany.cli.journal.open_reader", goes_on)
    assert said("journal", "verify", home=home)[1]["sound"] is True
    assert head_of(home) > before


def test_a_home_that_is_brought_back_is_another_and_stands_still(home: Path, backup: Path, tmp_path: Path) -> None:
    head, new = head_of(home), tmp_path / "new"
    code, out, _ = said("restore-home", str(backup), home=new)
    assert (code, out["entries"], out["stopped"], out["content_lost"]) == (0, head.seq, 2, 0)
    assert new.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in new.rglob("*"))
    assert verify_home(new, f"{head.seq}:{head.hash.hex()}", as_json=True) == 0
    assert Logs(new).read(1) == b"printed"
    reader = SqliteReader(new / "journal.db")
    state = fold_from_start(reader).state
    first = ev.decode_entry(next(reader.rows(head.seq + 1)).record).events
    reader.close()
    assert first == [
        ev.OperatorCommanded(os.getuid(), f"restore-home: entries 1 to {head.seq}"),
        ev.HomeRestored(bytes.fromhex(out["id"]), head.seq),
    ]
    states = {pid: (p.state, p.reason) for pid, p in state.table.processes.items() if p.alive}
    assert states == {2: (State.STOPPED, REASON), 3: (State.STOPPED, "SIGSTOP")}
    again = tmp_path / "again"
    restore_home(backup, again)
    assert head_of(again) != head_of(new)


def test_a_process_goes_on_when_it_is_told_to_and_not_before(backup: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    restore_home(backup, new)
    assert homes.opens(new) is None

    async def run() -> list[State]:
        shard = await homes.open_home(new)
        table = shard.kernel.table
        states = [table.require(2).state]
        shard.kernel.operator.signal(2, 18, uid=0)
        states += [table.require(2).state, table.require(3).state]
        await shard.close()
        return states

    assert asyncio.run(run()) == [State.STOPPED, State.RUNNING, State.STOPPED]


def holds(home: Path) -> bool:
    """Whether the journal has what was said to the first process."""
    reader = SqliteReader(home / "journal.db")
    found = any(SAID.encode() in row.bodies for row in reader.rows(1))
    found = found or any(SAID.encode() in body.content for body in reader.bodies())
    reader.close()
    assert found == (SAID.encode() in (home / "journal.db").read_bytes())
    return found


def sql(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = apsw.Connection(str(path))
        connection.execute(text)
        connection.close()

    return change


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no database\n" * 1_000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def about(**fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = apsw.Connection(str(path))
        ((content,),) = connection.execute("SELECT content FROM files WHERE name = 'about'").fetchall()
        assert isinstance(content, bytes)
        told = json.dumps(json.loads(content) | fields).encode()
        connection.execute("UPDATE files SET content = ? WHERE name = 'about'", (told,))
        connection.close()

    return change


HOSTILE: dict[str, Callable[[Path], None]] = {
    "cut": cut, "link": link, "fifo": fifo, "sparse": sparse, "empty": emptied,
    "text": text,
    "folder": folder,
    "another database": sql("PRAGMA application_id = 1"),
    "a newer format": sql("PRAGMA user_version = 99"),
    "a newer home": about(home_format=99),
    "an archive": about(kind="archive"),
    "another head": about(entries=3),
    "a field more": about(nonsense=1),
    "no keys": sql("DELETE FROM files WHERE name = 'keys'"),
    "keys of another form": sql("UPDATE files SET content = zeroblob(100) WHERE name = 'keys'"),
    "huge": sql("UPDATE files SET content = zeroblob(300000000) WHERE name = 'about'"),
    "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON rows BEGIN SELECT 1; END"),
    "a view": sql("ALTER TABLE files RENAME TO f; CREATE VIEW files AS SELECT * FROM f"),
    "a table more": sql("CREATE TABLE more(a)"),
    "a row more": sql("INSERT INTO rows SELECT seq + 1, hash, record, bodies FROM rows ORDER BY seq DESC LIMIT 1"),
    "a row less": sql("DELETE FROM rows WHERE seq = (SELECT max(seq) FROM rows)"),
    "a gap": sql("DELETE FROM rows WHERE seq = 4"),
    "another record": sql("UPDATE rows SET record = x'9300' WHERE seq = 4"),
    "a hash of zeros": sql("UPDATE rows SET hash = zeroblob(16) WHERE seq = 4"),
    "a broken pack of keys": sql("UPDATE files SET content = x'' WHERE name = 'keys'"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_backup_is_refused_before_anything_is_made(backup: Path, tmp_path: Path, name: str) -> None:
    HOSTILE[name](backup)
    before = {path.name for path in tmp_path.iterdir()}
    code, out, error = said("restore-home", str(backup), home=tmp_path / "new")
    assert (code, out) == (2, {})
    assert error["errno"] == "EIO"
    assert error["message"]
    assert {path.name for path in tmp_path.iterdir()} == before


def test_names_that_lead_elsewhere_and_snapshots_are_passed_over(backup: Path, tmp_path: Path) -> None:
    names = ("../evil", "/etc/evil", "logs/../../evil.log", "logs/1.log/x", "logs/tools.a/b.log", "trusted", "control")
    connection = apsw.Connection(str(backup))
    connection.executemany("INSERT INTO files VALUES(?, x'41')", [(name,) for name in names])
    connection.execute("INSERT INTO snapshots VALUES(1, 3, x'00', 'v', x'00', x'00')")
    connection.close()
    restore_home(backup, tmp_path / "deep" / "new")
    found = {str(path.relative_to(tmp_path / "deep")) for path in (tmp_path / "deep").rglob("*")}
    files = ("journal.db", "reserve", "head", "keys", "format", "lock", "logs", "logs/1.log")
    assert found == {"new", *(f"new/{name}" for name in files)}
    reader = SqliteReader(tmp_path / "deep" / "new" / "journal.db")
    assert list(reader.snapshots()) == []
    reader.close()


def test_content_that_is_not_what_was_digested_is_left_out_and_told_of(backup: Path, tmp_path: Path) -> None:
    sql("UPDATE bodies SET content = x'00'")(backup)
    code, out, _ = said("restore-home", str(backup), home=tmp_path / "new")
    assert code == 0
    assert out["content_lost"] > 0
    assert homes.opens(tmp_path / "new") is None


def test_a_head_that_was_kept_elsewhere_shows_another_chain(home: Path, backup: Path, tmp_path: Path) -> None:
    head = head_of(home)
    for text in (f"{head.seq}:{'0' * 32}", f"{head.seq + 5}:{head.hash.hex()}"):
        assert said("restore-home", str(backup), "--head", text, home=tmp_path / "new")[2]["errno"] == "EIO"
    assert said("restore-home", str(backup), "--head", "nonsense", home=tmp_path / "new")[2]["errno"] == "EINVAL"
    assert not (tmp_path / "new").exists()


def test_a_home_is_only_made_where_there_is_none(backup: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    before = (home / "journal.db").read_bytes()
    for place in ("home", "b", "link"):
        with pytest.raises(Einval):
            restore_home(backup, tmp_path / place)
    assert (home / "journal.db").read_bytes() == before
    assert restore_home(backup, tmp_path / "empty").stopped == 2


def test_a_damaged_home_is_not_backed_up_and_content_that_is_damaged_is_told_of(home: Path, tmp_path: Path) -> None:
    sql("UPDATE bodies SET content = x'00'")(home / "journal.db")
    assert said("backup", str(tmp_path / "b"), "--verify", home=home)[2]["errno"] == "EIO"
    assert check_backup(tmp_path / "b").report.found
    sql("UPDATE rows SET record = x'00' WHERE seq = 4")(home / "journal.db")
    with pytest.raises(Eio):
        make_backup(home, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_home_of_a_newer_format_is_refused_by_whoever_looks_steers_or_copies(home: Path, tmp_path: Path) -> None:
    (home / "format").write_text(f"{FORMAT + 1}\n")
    before = (home / "journal.db").read_bytes()
    lines = (("ps",), ("kill", "2"), ("resume",), ("backup", str(tmp_path / "b")), ("journal", "collect"))
    for line in lines:
        _, _, error = said(*line, home=home)
        assert error["errno"] == "EINVAL", line
        assert "format" in error["message"], line
    assert (home / "journal.db").read_bytes() == before
    assert not (tmp_path / "b").exists()


def test_an_archive_and_the_journal_are_one_chain(home: Path, tmp_path: Path) -> None:
    code, out, _ = said("journal", "archive", "--before", "6", "--to", str(tmp_path / "a"), home=home)
    assert (code, out["entries"]) == (0, 5)
    assert said("journal", "verify", "--archive", str(tmp_path / "a"), home=home)[1]["sound"] is True
    assert said("journal", "collect", "--before", "2100-01-01", home=home)[1]["processes"] == 1
    assert SAID.encode() in (tmp_path / "a").read_bytes()
    assert not holds(home)
    assert said("journal", "verify", "--archive", str(tmp_path / "a"), home=home)[1]["sound"] is True
    assert said("journal", "verify", home=home)[1]["sound"] is True
    for change in (HOSTILE["another record"], HOSTILE["a row less"], sql("UPDATE rows SET bodies = x'90'")):
        shutil.copy(tmp_path / "a", tmp_path / "changed")
        change(tmp_path / "changed")
        code, last, _ = said("journal", "verify", "--archive", str(tmp_path / "changed"), home=home)
        assert (code, last["sound"]) == (1, False)


def test_an_archive_of_another_journal_is_told(home: Path, tmp_path: Path) -> None:
    homes.make_home(tmp_path / "other", count=3)
    make_archive(tmp_path / "other", tmp_path / "a", 4)
    code, out, _ = said("journal", "verify", "--archive", str(tmp_path / "a"), home=home)
    assert (code, out["sound"]) == (1, False)
    make_backup(home, tmp_path / "b")
    assert said("journal", "verify", "--archive", str(tmp_path / "b"), home=home)[2]["errno"] == "EIO"


@pytest.mark.parametrize("when", ["", "1", "0", "-3", "1970-01-01", "nonsense", "2026-13-45", "9" * 40, "99999999"])
def test_an_archive_needs_a_time_or_an_entry_that_is_there(home: Path, tmp_path: Path, when: str) -> None:
    code, out, error = said("journal", "archive", "--before", when, "--to", str(tmp_path / "a"), home=home)
    assert (code, out) == (2, {})
    assert error["errno"] in ("EINVAL", "ENOENT")
    assert not (tmp_path / "a").exists()


def test_what_ended_long_ago_is_collected_and_nothing_that_is_needed(home: Path) -> None:
    assert said("journal", "collect", home=home)[1]["processes"] == 0
    _, out, _ = said("journal", "collect", "--before", "2100-01-01", home=home)
    assert out["processes"] == 1
    assert out["freed_bytes"] > 400 * len(SAID)
    assert not holds(home)
    assert Logs(home).read(1) == b""
    assert said("journal", "collect", "--before", "2100-01-01", home=home)[1]["processes"] == 0
    assert homes.opens(home) is None
    assert said("journal", "verify", home=home)[1]["sound"] is True
    assert said("journal", "collect", "--before", "yesterday", home=home)[2]["errno"] == "EINVAL"


def test_a_collection_that_was_cut_off_is_finished_by_the_next(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prytany.kernel import collecting

    async def half(ledger: Any, reader: Any, pids: Any, commanded: Any, gone: Any = ()) -> Any:
        ledger.commit((commanded, *(ev.ContentForgotten(pid, 0, 0) for pid in pids)), {}, payer=0, reserve=True)
        raise Eio("the machine stopped")

    monkeypatch.setattr(collecting, "forget_all", half)
    assert said("journal", "collect", "--before", "2100-01-01", home=home)[2]["errno"] == "EIO"
    assert holds(home)
    monkeypatch.undo()
    assert said("journal", "collect", "--before", "2100-01-01", home=home)[1]["processes"] == 1
    assert not holds(home)


def test_logs_of_those_whom_nobody_lists_any_more_are_collected_too(home: Path) -> None:
    logs = Logs(home)
    for name in (1, 2, 77, 78):
        logs.append(name, b"printed\n")
    logs.append("tools.shop", b"printed\n")
    old = 1_000_000_000
    for name in (2, 77):
        os.utime(logs.path(name), (old, old))
    assert said("journal", "collect", home=home)[1]["logs"] == 1
    assert [logs.path(name).exists() for name in (1, 2, 77, 78, "tools.shop")] == [True, True, False, True, True]


def test_a_missing_file_or_home_is_said(tmp_path: Path) -> None:
    for line in (("restore-home", str(tmp_path / "b")), ("backup", str(tmp_path / "b")), ("journal", "collect")):
        assert said(*line, home=tmp_path / "nowhere")[2]["errno"] == "ENOENT", line
    with pytest.raises(KernelError):
        make_archive(tmp_path, tmp_path / "a", 1)
