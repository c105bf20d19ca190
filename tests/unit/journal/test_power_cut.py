"""G1 and G2 on the real driver: what was acknowledged is there after a power cut at that very moment."""

import asyncio
from pathlib import Path

import pytest

from prytany.drivers.stores.sqlite import SqliteStore
from prytany.journal.bodies import pack
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.writer import START, Journal
from prytany.ports.store import Body, StoreError
from prytany.testing.power import PoweredDisk

ENTRIES = 120


def record(number: int) -> bytes:
    return b"entry %d " % number + bytes(number % 300)


async def write(store: SqliteStore, disk: PoweredDisk, cuts: Path, seed: int) -> list[tuple[int, int, Path]]:
    """Append entries, and cut the power at each acknowledgement: (acknowledged, syncs so far, what is left)."""
    taken: list[tuple[int, int, Path]] = []

    def on_durable(seq: int) -> None:
        left = cuts / str(len(taken))
        left.mkdir()
        disk.cut(left, seed + seq)
        taken.append((seq, disk.syncs, left))

    def on_failure(error: StoreError) -> None:
        raise AssertionError(error)

    journal = Journal(store, asyncio.get_running_loop(), START, on_durable, on_failure)
    for number in range(1, ENTRIES + 1):
        large = [Body(0, b"d%015d" % number, 1, bytes(9_000))] if number % 10 == 0 else []
        seq = journal.append(record(number), pack([(b"s%015d" % number, b"small %d" % number)]), large)
        if number % 7 == 0:
            await journal.wait_durable(seq)
    await journal.close()
    return taken


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_survives_a_power_cut_at_that_moment(tmp_path: Path, seed: int) -> None:
    disk = PoweredDisk(f"power-{seed}")
    home, cuts = tmp_path / "home", tmp_path / "cuts"
    home.mkdir()
    cuts.mkdir()
    store = SqliteStore(home / "journal.db", reserve_bytes=0, vfs=f"power-{seed}")
    before = disk.syncs
    taken = asyncio.run(write(store, disk, cuts, seed))
    store.close()
    assert taken[-1][0] == ENTRIES
    for count, (acknowledged, syncs, left) in enumerate(taken, 1):
        assert syncs - before >= count, f"seed {seed}: acknowledged {acknowledged} without a sync of its own"
        again = SqliteStore(left / "journal.db", reserve_bytes=0)
        rows = list(again.reader().rows(1))
        assert len(rows) >= acknowledged, f"seed {seed}: {acknowledged} was acknowledged, and {len(rows)} are left"
        hash_ = GENESIS
        for row in rows:
            hash_ = next_hash(hash_, row.record)
            assert row.hash == hash_, f"seed {seed}: entry {row.seq} after the cut at {acknowledged}"
            assert row.record == record(row.seq)
            if row.seq % 10 == 0:
                assert again.reader().body(0, b"d%015d" % row.seq) is not None
        again.close()


def test_a_disk_that_syncs_nothing_is_found_out(tmp_path: Path) -> None:
    """The proof can fail: with syncs switched off, entries that were acknowledged are gone."""
    disk = PoweredDisk("power-lying")
    store = SqliteStore(tmp_path / "journal.db", reserve_bytes=0, vfs="power-lying")
    connection = store._connection
    connection.execute("PRAGMA synchronous = OFF")
    left = tmp_path / "cuts"
    left.mkdir()
    taken = asyncio.run(write(store, disk, left, 1))
    store.close()
    lost = 0
    for acknowledged, _, cut in taken:
        again = SqliteStore(cut / "journal.db", reserve_bytes=0)
        head = again.reader().head()
        lost += head is None or head.seq < acknowledged
        again.close()
    assert lost
