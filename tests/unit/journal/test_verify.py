"""Every byte of a small journal is flipped, one at a time, and every flip has to be found, and at its place."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import apsw
import msgspec
import pytest

from prytany.drivers.stores.memory import MemoryReader, MemoryStore
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.anchor import Head
from prytany.journal.bodies import pack
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.content import Named, Said
from prytany.journal.digests import Keyring
from prytany.journal.salvage import keep_sound_part
from prytany.journal.snapshot import newest_usable, snapshot_of
from prytany.journal.verify import Report, sound_prefix, verify
from prytany.ports.store import Body, Row, Snapshot, StoreError

COUNT = 5


def digests_of(record: bytes) -> list[tuple[int, bytes]]:
    return msgspec.msgpack.decode(record, type=tuple[int, list[tuple[int, bytes]]])[1]


def read(record: bytes) -> Said:
    seq, _ = msgspec.msgpack.decode(record, type=tuple[int, list[tuple[int, bytes]]])
    if seq < 0:
        return Said([], [-seq])
    return Said([Named(tenant, digest, seq % 100) for tenant, digest in digests_of(record)], [])


def keyring() -> Keyring:
    ring = Keyring(lambda n: bytes(range(n)))
    ring.admit(1)
    return ring


RING = keyring()
LARGE = Body(1, RING.digest(1, b"L" * 100), 1, b"L" * 100)


def journal() -> tuple[list[Row], list[Body], list[Snapshot]]:
    rows: list[Row] = []
    hash_ = GENESIS
    for seq in range(1, COUNT + 1):
        content = b"content %d" % seq
        digest = RING.digest(1, content)
        record = msgspec.msgpack.encode((seq, [(1, digest), (1, LARGE.digest)]))
        hash_ = next_hash(hash_, record)
        rows.append(Row(seq, hash_, record, pack([(digest, content)])))
    snapshots = [snapshot_of(Head(n, rows[n - 1].hash), "fold 1", b"state %d" % n) for n in (4, 2)]
    return rows, [LARGE], snapshots


ROWS, BODIES, SNAPSHOTS = journal()
ANCHOR = Head(COUNT, ROWS[-1].hash)


def check(rows: list[Row], bodies: list[Body], snapshots: list[Snapshot], anchor: Head | None = None) -> Report:
    return verify(MemoryReader(rows, bodies, snapshots), RING, read, anchor=anchor)


def flips(value: bytes) -> Iterator[bytes]:
    for place in range(len(value)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(value)
            damaged[place] ^= mask
            yield bytes(damaged)


def test_a_sound_journal_has_no_findings() -> None:
    report = check(ROWS, BODIES, SNAPSHOTS, ANCHOR)
    assert report.sound
    assert report.anchored
    assert (report.rows, report.small_bodies, report.large_bodies, report.snapshots) == (COUNT, COUNT, 1, 2)
    assert report.sound_seq == COUNT


@pytest.mark.parametrize("column", ["hash", "record", "bodies"])
@pytest.mark.parametrize("index", range(COUNT))
def test_a_flipped_byte_in_a_row_is_found_at_that_row(column: str, index: int) -> None:
    for value in flips(getattr(ROWS[index], column)):
        rows = [*ROWS[:index], ROWS[index]._replace(**cast("Any", {column: value})), *ROWS[index + 1 :]]
        report = check(rows, BODIES, SNAPSHOTS)
        assert report.findings[0].seq == index + 1
        assert report.findings[0].kind == ("body" if column == "bodies" else "chain")
        if column != "bodies":
            assert sound_prefix(MemoryReader(rows, [], [])) == report.sound_seq == index


@pytest.mark.parametrize("change", [{"tenant": 2}, {"key_id": 2}])
def test_a_changed_number_of_a_large_body_is_found(change: dict[str, int]) -> None:
    report = check(ROWS, [LARGE._replace(**cast("Any", change))], SNAPSHOTS)
    assert (report.findings[0].kind, report.findings[0].digest) == ("body", LARGE.digest)


@pytest.mark.parametrize("column", ["digest", "content"])
def test_a_flipped_byte_in_a_large_body_is_found(column: str) -> None:
    for value in flips(getattr(LARGE, column)):
        findings = check(ROWS, [LARGE._replace(**cast("Any", {column: value}))], SNAPSHOTS).findings
        # A body under another name is wrong there, and missing under its own.
        assert [f.kind for f in findings] == (["body", "missing"] if column == "digest" else ["body"])


@pytest.mark.parametrize("column", ["hash", "state", "digest", "version"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_flipped_byte_in_a_snapshot_is_found_and_the_other_is_used(column: str, index: int) -> None:
    value = getattr(SNAPSHOTS[index], column)
    values = [v.decode("latin-1") for v in flips(value.encode())] if column == "version" else flips(value)
    for changed in values:
        snapshots = list(SNAPSHOTS)
        snapshots[index] = snapshots[index]._replace(**cast("Any", {column: changed}))
        assert [(f.kind, f.seq) for f in check(ROWS, BODIES, snapshots).findings] == [
            ("snapshot", SNAPSHOTS[index].seq)
        ]
        assert newest_usable(MemoryReader(ROWS, [], snapshots), "fold 1") == SNAPSHOTS[1 - index]


def test_a_snapshot_of_another_fold_or_of_a_lost_row_is_not_used() -> None:
    assert newest_usable(MemoryReader(ROWS, [], SNAPSHOTS), "fold 2") is None
    assert newest_usable(MemoryReader(ROWS[:3], [], SNAPSHOTS), "fold 1") == SNAPSHOTS[1]
    assert newest_usable(MemoryReader(ROWS[:1], [], SNAPSHOTS), "fold 1") is None


@pytest.mark.parametrize("index", range(COUNT - 1))
def test_a_missing_row_is_a_gap(index: int) -> None:
    findings = check([*ROWS[:index], *ROWS[index + 1 :]], BODIES, []).findings
    assert (findings[0].kind, findings[0].seq) == ("gap", index + 2)


@pytest.mark.parametrize("left", range(COUNT))
def test_a_cut_tail_shows_against_the_anchor_and_only_there(left: int) -> None:
    assert check(ROWS[:left], BODIES, []).sound
    findings = check(ROWS[:left], BODIES, [], ANCHOR).findings
    assert [(f.kind, f.seq) for f in findings] == [("cut", left + 1)]


def test_a_rewritten_journal_shows_against_the_anchor_and_only_there() -> None:
    rows: list[Row] = []
    hash_ = GENESIS
    for row in ROWS:
        record = msgspec.msgpack.encode((100 + row.seq, digests_of(row.record)))
        hash_ = next_hash(hash_, record)
        rows.append(Row(row.seq, hash_, record, row.bodies))
    assert check(rows, BODIES, []).sound
    assert [(f.kind, f.seq) for f in check(rows, BODIES, [], ANCHOR).findings] == [("rewritten", COUNT)]


def test_bodies_of_a_forgotten_tenant_are_counted_and_the_chain_still_verifies() -> None:
    ring = keyring()
    ring.forget(1)
    report = verify(MemoryReader(ROWS, [], SNAPSHOTS), ring, read, anchor=ANCHOR)
    assert report.sound
    assert report.forgotten == COUNT + 1


@pytest.mark.parametrize("index", range(COUNT))
def test_the_part_before_a_damaged_row_is_kept_and_sound(index: int) -> None:
    rows = [*ROWS[:index], ROWS[index]._replace(record=b"damaged"), *ROWS[index + 1 :]]
    target = MemoryStore()
    kept = keep_sound_part(MemoryReader(rows, BODIES, SNAPSHOTS), target, RING, read)
    assert (kept.seq, kept.bodies, kept.complete) == (index, 1, False)
    reader = target.reader()
    assert list(reader.rows(1)) == ROWS[:index]
    assert [s.seq for s in reader.snapshots()] == [seq for seq in (4, 2) if seq <= index]
    assert verify(reader, RING, read).sound


def test_damaged_bodies_are_left_out_and_their_rows_kept() -> None:
    digest = digests_of(ROWS[1].record)[0][1]
    rows = [ROWS[0]._replace(bodies=b"\xff"), ROWS[1]._replace(bodies=pack([(digest, b"other")])), *ROWS[2:]]
    target = MemoryStore()
    kept = keep_sound_part(MemoryReader(rows, [LARGE._replace(content=b"x")], []), target, RING, read)
    assert (kept.seq, kept.bodies, kept.bodies_lost, kept.complete) == (COUNT, 0, 3, True)
    assert [(f.kind, f.seq) for f in verify(target.reader(), RING, read).findings] == [
        ("missing", 1), ("missing", 1), ("missing", 2),
    ]  # fmt: skip


def forgetting(owner: int) -> list[Row]:
    """The journal with one record more: the content of `owner` was forgotten."""
    record = msgspec.msgpack.encode((-owner, []))
    return [*ROWS, Row(COUNT + 1, next_hash(ROWS[-1].hash, record), record, b"")]


def test_small_content_that_is_not_there_is_missing_unless_its_forgetting_is_recorded() -> None:
    stripped = ROWS[2]._replace(bodies=b"")
    digest = digests_of(ROWS[2].record)[0][1]
    report = check([*ROWS[:2], stripped, *ROWS[3:]], BODIES, [])
    assert [(f.kind, f.seq, f.digest) for f in report.findings] == [("missing", 3, digest)]
    rows = forgetting(3)
    rows[2] = stripped
    assert check(rows, BODIES, []).sound
    assert check(rows, BODIES, []).forgotten == 1
    rows = forgetting(2)
    rows[2] = stripped
    assert not check(rows, BODIES, []).sound


def test_a_large_body_that_is_not_there_is_missing_unless_its_forgetting_is_recorded() -> None:
    assert [(f.kind, f.seq, f.digest) for f in check(ROWS, [], []).findings] == [("missing", 1, LARGE.digest)]
    assert check(forgetting(4), [], []).sound


def test_content_that_lies_in_another_row_is_there() -> None:
    digest = digests_of(ROWS[0].record)[0][1]
    record = msgspec.msgpack.encode((7, [(1, digest)]))
    rows = [*ROWS, Row(COUNT + 1, next_hash(ROWS[-1].hash, record), record, b"")]
    assert check(rows, BODIES, []).sound


def test_findings_and_progress_are_told_as_they_come_and_what_is_kept_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prytany.journal.verify.FINDINGS_KEPT", 2)
    monkeypatch.setattr("prytany.journal.verify.PROGRESS_ROWS", 2)
    told: list[str] = []
    rows = [row._replace(bodies=b"\xff") for row in ROWS]
    report = verify(
        MemoryReader(rows, BODIES, []), RING, read,
        tell=lambda finding: told.append(finding.kind), progress=lambda seq: told.append(str(seq)),
    )  # fmt: skip
    assert told == ["body", "2", "body", "body", "4", "body", "body"]
    assert (len(report.findings), report.found, report.sound) == (2, COUNT, False)


def flip_in_file(folder: Path, change: Callable[[bytearray], None]) -> SqliteReader:
    path = folder / "journal.db"
    content = bytearray(path.read_bytes())
    change(content)
    copy = folder / "copy.db"
    for old in folder.glob("copy.db*"):
        old.unlink()
    copy.write_bytes(content)
    return SqliteReader(copy)


def test_a_flipped_byte_anywhere_in_the_file_is_found_or_changes_nothing_that_is_read(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db", reserve_bytes=0)
    store.commit(ROWS, BODIES)
    for snapshot in reversed(SNAPSHOTS):
        store.save_snapshot(snapshot)
    store.close()
    size = (tmp_path / "journal.db").stat().st_size
    used = [n for n, byte in enumerate((tmp_path / "journal.db").read_bytes()) if byte]
    found = 0
    for place in used[::3]:

        def change(content: bytearray, place: int = place) -> None:
            content[place] ^= 0x10

        try:
            reader = flip_in_file(tmp_path, change)
        except StoreError:
            found += 1
            continue
        report = verify(reader, RING, read, anchor=ANCHOR)
        try:
            same = (
                list(reader.rows(1)) == ROWS
                and list(reader.bodies()) == BODIES
                and list(reader.snapshots()) == SNAPSHOTS
            )
        except StoreError:
            same = False
        reader.close()
        found += not report.sound
        # A table of snapshots that reads as empty is a dropped cache.
        lost = report.snapshots < len(SNAPSHOTS)
        assert same or lost or not report.sound, f"byte {place} of {size}"
    assert found > len(used) // 3 // 2


def test_a_row_changed_through_sql_is_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "journal.db", reserve_bytes=0)
    store.commit(ROWS, BODIES)
    store.close()
    connection = apsw.Connection(str(tmp_path / "journal.db"))
    connection.execute("UPDATE rows SET record = x'00' WHERE seq = 3")
    connection.close()
    reader = SqliteReader(tmp_path / "journal.db")
    assert [(f.kind, f.seq) for f in verify(reader, RING, read).findings if f.kind == "chain"] == [("chain", 3)]
    assert sound_prefix(reader) == 2
    reader.close()
