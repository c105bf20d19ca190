"""A home whose older entries were moved to a file: it runs, is checked, copied, restored and mended as any other."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from prytany.abi import control
from prytany.abi.errors import Einval, Eio, KernelError
from prytany.cli import archive as command
from prytany.client import attach
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.base import base_of, kept_rows
from prytany.journal.home import FORMAT, FORMAT_NEW
from prytany.kernel import base_form
from prytany.kernel.folding import fold_from_start
from prytany.system import backup as copies
from prytany.system.archiving import check_archive, check_state
from prytany.system.backup import make_archive, make_backup
from prytany.system.rebase import rebase
from prytany.system.restoring import restore_home
from tests.surfaces import homes
from tests.surfaces.test_keeping import SAID, said

LONG_AGO = "a tale of long ago "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 waits for a time since the beginning, ten others told their tales and are let go, the last waits too."""
    home = tmp_path_factory.mktemp("made") / "home"

    async def run() -> None:
        shard = await homes.open_home(home)
        await waiting(shard, homes.spawn(shard, home, "says", SAID, 400, "wait"))
        parent = homes.spawn(shard, home, "family", LONG_AGO * 300)
        await shard.kernel.operator.wait_ended(parent)
        for number in range(8):
            await shard.kernel.operator.wait_ended(homes.spawn(shard, home, "steps", 20, 400 + number))
        await waiting(shard, homes.spawn(shard, home, "says", "living", 2_000, "wait"))
        await shard.close()

    asyncio.run(run())
    return home


async def waiting(shard: Any, pid: int) -> None:
    process = shard.kernel.table.require(pid)
    while "timer_wait" not in {call.call for call in process.open.values()}:  # noqa: ASYNC110
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    shutil.copy(made.parent / "program.py", tmp_path / "program.py")
    return tmp_path / "home"


def archive(home: Path, name: str = "a", before: str = "2100-01-01", *more: str) -> tuple[int, Any, Any]:
    return said("journal", "archive", "--before", before, "--to", str(home.parent / name), *more, home=home)


def entries(home: Path) -> list[int]:
    with closing(SqliteReader(home / "journal.db")) as reader:
        return [row.seq for row in reader.rows(1)]


def everything(home: Path) -> bytes:
    with closing(SqliteReader(home / "journal.db")) as reader:
        return repr(
            (list(reader.rows(1)), list(reader.bodies()), reader.base(), (home / "format").read_text())
        ).encode()


def state(home: Path) -> bytes:
    with closing(SqliteReader(home / "journal.db")) as reader:
        return fold_from_start(reader).state.encode()


def sound(home: Path, *archives: Path) -> bool:
    words = [word for path in archives for word in ("--archive", str(path))]
    code, out, _ = said("journal", "verify", *words, home=home)
    assert (code == 0) == out["sound"], out
    return bool(out["sound"])


def test_what_is_archived_leaves_the_home_and_what_lives_goes_on(home: Path, tmp_path: Path) -> None:
    before = entries(home)
    rows = said("ps", home=home)[1]["open"]
    code, out, _ = archive(home, "a", "2100-01-01", "--shrink")
    assert (code, out["first"], out["entries"]) == (0, 1, before[-1])
    left = [seq for seq in entries(home) if seq <= before[-1]]
    assert out["removed"] == len(before) - len(left)
    assert len(left) == out["kept"] < len(before) / 3
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert LONG_AGO.encode() in (tmp_path / "a").read_bytes()
    assert sound(home)
    assert sound(home, tmp_path / "a")
    assert said("ps", home=home)[1]["open"] == rows
    assert homes.opens(home) is None
    assert sound(home, tmp_path / "a")
    assert said("trace", "1", home=home)[2]["note"].startswith("entries up to")
    assert said("trace", "99", home=home)[2]["message"].endswith("archived, the latest of them in 'a'")
    assert said("logs", "99", home=home)[2]["message"].endswith("archived, the latest of them in 'a'")
    assert said("cost", home=home)[0] == 0
    assert said("inspect", "1", home=home)[0] == 0


def test_room_is_given_back_when_that_is_asked_for_and_used_again_anyway(home: Path) -> None:
    def size() -> int:
        return (home / "journal.db").stat().st_size

    full = size()
    homes.make_home(home, count=1_500)
    grown = size()
    assert grown > 2 * full
    archive(home)
    assert size() >= grown
    homes.make_home(home, count=700)
    assert size() < grown * 1.1, "the room was used again"
    said("journal", "collect", "--before", "2100-01-01", "--shrink", home=home)
    assert size() < grown / 1.5
    assert sound(home)


def test_a_second_archive_begins_where_the_first_ended_and_all_are_checked_as_one(home: Path, tmp_path: Path) -> None:
    first = archive(home, "a", "40")[1]
    second = archive(home, "b")[1]
    assert (first["entries"], second["first"]) == (39, 40)
    a, b = tmp_path / "a", tmp_path / "b"
    assert sound(home)
    assert sound(home, b, a)
    assert said("journal", "verify", "--archive", str(a), home=home)[2]["errno"] == "EINVAL"
    assert sound(home, b), "the later one alone is checked from where it begins"
    old = f"10:{'0' * 32}"
    assert said("journal", "verify", "--head", old, home=home)[1]["sound"] is False
    assert said("journal", "verify", "--head", old, "--archive", str(b), home=home)[1]["sound"] is False
    with closing(copies.open_copy(a, "archive")[0]) as reader:
        row = reader.row(10)
    assert row is not None
    words = ["--head", f"10:{row.hash.hex()}", "--archive", str(a), "--archive", str(b)]
    assert said("journal", "verify", *words, home=home)[1]["sound"] is True


@pytest.mark.parametrize("place", ["home/a", "home/journal.db", "nowhere/a", "folder", "fifo", "mine"])
def test_an_archive_that_cannot_be_put_there_leaves_all_as_it_was(home: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine").write_text("dear")
    os.mkfifo(tmp_path / "fifo")
    before = everything(home)
    code, _, error = archive(home, place)
    assert (code, error["errno"] in ("EINVAL", "ENOENT")) == (2, True)
    assert everything(home) == before
    assert (tmp_path / "mine").read_text() == "dear"


def test_the_only_copy_of_entries_is_not_replaced_by_force(home: Path, tmp_path: Path) -> None:
    archive(home, "a", "40")
    before = (tmp_path / "a").read_bytes()
    assert archive(home, "a", "2100-01-01", "--force")[2]["errno"] == "EINVAL"
    assert said("backup", str(tmp_path / "a"), "--force", home=home)[2]["errno"] == "EINVAL"
    assert (tmp_path / "a").read_bytes() == before
    assert archive(home, "b", "60")[0] == 0
    assert archive(home, "c", "60")[2]["errno"] == "EINVAL"
    assert archive(home, "c", "20")[2]["errno"] == "EINVAL"
    assert not (tmp_path / "c").exists()


def altered(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("UPDATE rows SET record = CAST(x'00' || record AS BLOB) WHERE seq = 10")


def shorter(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DELETE FROM rows WHERE seq = 10")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("fault", [altered, shorter, emptied])
def test_nothing_is_removed_when_the_file_that_was_written_does_not_read_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path], None]
) -> None:
    def made(home: Path, path: Path, last: int, **more: Any) -> Any:
        done = make_archive(home, path, last, **more)
        fault(path)
        return done

    monkeypatch.setattr(command, "make_archive", made)
    before = entries(home)
    assert archive(home)[2]["errno"] == "EIO"
    assert entries(home) == before
    assert (home / "format").read_text() == f"{FORMAT_NEW}\n"


def test_nothing_is_removed_when_the_kernels_state_is_not_what_the_entries_give(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prytany.system import archiving

    monkeypatch.setattr(archiving, "state_digest", lambda state: b"of another fold")
    before = entries(home)
    _, _, error = archive(home)
    assert (error["errno"], "restart" in error["message"]) == ("EIO", True)
    assert entries(home)[: len(before)] == before
    assert sound(home)
    monkeypatch.undo()
    assert archive(home, "b")[0] == 0


def test_an_archive_for_which_the_disk_has_no_room_leaves_all_as_it_was(home: Path, tmp_path: Path) -> None:
    import resource

    before = entries(home)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 10, limits[1]))
    try:
        with pytest.raises(KernelError):
            make_archive(home, tmp_path / "a", before[-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.glob("*a*unfinished")) == []
    assert not (tmp_path / "a").exists()
    assert entries(home) == before


def test_a_kernel_goes_on_while_its_journal_is_archived(home: Path, tmp_path: Path) -> None:
    async def run() -> None:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            busy = homes.spawn(shard, home, "steps", 200, 600)
            made = make_archive(home, tmp_path / "a", await client.wait_entry(0))
            again: list[int] = []

            async def check(prepared: control.Prepared) -> None:
                await asyncio.to_thread(check_state, home, prepared.seq, prepared.state)
                again.append(homes.spawn(shard, home, "says", LONG_AGO, 300, "end"))

            _, removed = await client.archive(control.PrepareArchive(*made.head, "a"), check)
            assert removed.entries > 100
            for pid in (busy, *again):
                assert (await shard.kernel.operator.wait_ended(pid))["status"] == 0
            homes.spawn(shard, home, "says", LONG_AGO, 300, "end")
            with pytest.raises(KernelError):
                await client.archive(control.PrepareArchive(*made.head, "a"), check)
        finally:
            await client.close()
            await shard.close()

    asyncio.run(run())
    assert sound(home)
    assert sound(home, tmp_path / "a")
    assert homes.opens(home) is None


def test_a_home_that_begins_with_a_base_is_backed_up_restored_kept_and_collected(home: Path, tmp_path: Path) -> None:
    archive(home)
    head = read_anchor(home / "head")
    assert head is not None
    assert said("backup", str(tmp_path / "b"), "--verify", home=home)[0] == 0
    restored = restore_home(tmp_path / "b", tmp_path / "new")
    assert restored.stopped == 2
    assert sound(tmp_path / "new")
    assert sound(tmp_path / "new", tmp_path / "a")
    assert homes.opens(tmp_path / "new") is None
    assert said("journal", "keep", "--to", str(tmp_path / "kept"), home=home)[0] == 0
    assert sound(tmp_path / "kept")
    assert homes.opens(tmp_path / "kept") is None
    assert said("journal", "collect", "--before", "2100-01-01", home=home)[0] == 0
    assert said("journal", "forget", "3", home=home)[2]["errno"] == "ESRCH"
    for path in ("new", "kept"):
        assert (tmp_path / path / "format").read_text() == f"{FORMAT}\n"
        assert archive(tmp_path / path, f"of {path}")[0] == 0
        assert sound(tmp_path / path, tmp_path / "a", tmp_path / f"of {path}")


def test_an_archive_of_another_home_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    homes.make_home(tmp_path / "other" / "home", count=30)
    archive(tmp_path / "other" / "home", "a", "20")
    archive(home, "mine", "20")
    other = tmp_path / "other" / "a"
    assert not sound(home, other)
    for files in ([other], [tmp_path / "mine", other], [], [tmp_path / "b"]):
        with pytest.raises((Einval, Eio, KernelError, IndexError)):
            rebase(home, files)
    assert sound(home)
    altered(tmp_path / "mine")
    assert not sound(home, tmp_path / "mine")
    with pytest.raises(Eio):
        rebase(home, [tmp_path / "mine"])
    assert sound(home)


def put_base(home: Path, **changed: Any) -> None:
    with closing(SqliteReader(home / "journal.db")) as reader:
        base = reader.base()
    assert base is not None
    values = {"form": base.form, "state": base.state, **changed}
    another = base_of(
        Head(base.last, base.last_hash), Head(base.seq, base.hash), values["form"], values["state"],
        kept_rows(base).values(),
    )  # fmt: skip
    with closing(SqliteStore(home / "journal.db")) as store:
        store.set_base(another._replace(**{k: v for k, v in changed.items() if k == "digest"}))


def no_snapshots(home: Path) -> None:
    with closing(apsw.Connection(str(home / "journal.db"))) as connection:
        connection.execute("DELETE FROM snapshots")


@pytest.mark.parametrize("how", ["state", "digest", "flipped"])
def test_a_base_that_was_changed_is_told_refused_and_made_anew_of_the_archives(
    home: Path, tmp_path: Path, how: str
) -> None:
    archive(home, "a", "40")
    archive(home, "b")
    whole = state(home)
    no_snapshots(home)
    if how == "flipped":
        with closing(apsw.Connection(str(home / "journal.db"))) as connection:
            connection.execute("UPDATE base SET state = zeroblob(length(state))")
    else:
        put_base(home, **({"state": msgspec.msgpack.encode({})} if how == "state" else {"digest": bytes(16)}))
    assert isinstance(homes.opens(home), Eio)
    assert said("ps", home=home)[2]["errno"] == "EIO"
    assert not sound(home, tmp_path / "a", tmp_path / "b")
    words = ["--archive", str(tmp_path / "b"), "--archive", str(tmp_path / "a")]
    assert said("journal", "rebase", *words, home=home)[0] == 0
    assert sound(home, tmp_path / "a", tmp_path / "b")
    with closing(SqliteReader(home / "journal.db")) as reader:
        now = fold_from_start(reader).state
    now.table.bases.clear()
    then = msgspec.msgpack.decode(whole, type=type(now))
    then.table.bases.clear()
    for table in (now.table, then.table):
        table.before_ns = table.journal_bytes = 0
    assert now.encode() == then.encode()
    assert homes.opens(home) is None


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO base SELECT * FROM base",
        "UPDATE base SET last = 9223372036854775807, seq = 9223372036854775807",
        "UPDATE base SET last = -5, seq = -3",
    ],
)
def test_a_base_that_cannot_be_one_is_damage_wherever_it_is_met(home: Path, tmp_path: Path, change: str) -> None:
    archive(home, "a", "40")
    make_backup(home, tmp_path / "b")
    no_snapshots(home)
    for path in (home / "journal.db", tmp_path / "b"):
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute(change)
    assert isinstance(homes.opens(home), Eio)
    assert not sound(home)
    for words in (("ps",), ("backup", str(tmp_path / "c")), ("journal", "keep", "--to", str(tmp_path / "kept"))):
        assert said(*words, home=home)[2]["errno"] == "EIO"
    assert said("restore-home", str(tmp_path / "b"), home=tmp_path / "new")[2]["errno"] == "EIO"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "home", "program.py"}


def test_a_base_of_another_form_is_read_through_its_upcaster_made_anew_or_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(home)
    no_snapshots(home)
    before = everything(home)
    monkeypatch.setattr(base_form, "FORM", base_form.FORM + 1)
    error = said("ps", home=home)[2]
    assert (error["errno"], "journal rebase" in error["message"]) == ("EIO", True)
    monkeypatch.setitem(base_form.UPCASTERS, 1, lambda form: form)
    assert said("ps", home=home)[0] == 0
    monkeypatch.delitem(base_form.UPCASTERS, 1)
    assert everything(home) == before
    from prytany.system import rebase as module

    monkeypatch.setattr(module, "FORM", base_form.FORM)
    assert said("journal", "rebase", "--archive", str(tmp_path / "a"), home=home)[1]["form"] == 2
    assert said("ps", home=home)[0] == 0
    monkeypatch.undo()
    error = said("ps", home=home)[2]
    assert (error["errno"], "newer prytany" in error["message"]) == ("EIO", True)


def test_a_backup_of_an_archived_home_is_refused_by_a_version_that_does_not_know_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(home, tmp_path / "plain")
    archive(home)
    make_backup(home, tmp_path / "b")
    monkeypatch.setattr(copies, "FORMAT", FORMAT_NEW)
    restore_home(tmp_path / "plain", tmp_path / "one")
    with pytest.raises(Eio, match="format 2"):
        restore_home(tmp_path / "b", tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_a_copy_alone_leaves_the_home_as_it_is(home: Path, tmp_path: Path) -> None:
    before = everything(home)
    code, out, _ = archive(home, "a", "40", "--copy")
    assert (code, out["removed"]) == (0, 0)
    assert everything(home) == before
    check_archive(home, tmp_path / "a", Head(39, bytes.fromhex(out["head"].partition(":")[2])))
    assert sound(home, tmp_path / "a")
