"""What is forgotten is nowhere in the file: not in pages that changed their places while it was there either."""

from __future__ import annotations

import random  # noqa: TID251 - seeded; what is tried is the same each time
from pathlib import Path

import pytest

from prytany.drivers.stores.sqlite import SqliteStore
from prytany.ports.store import Body, Row

MARK = b"what is to be forgotten"


@pytest.mark.parametrize("seed", range(3))
def test_what_was_destroyed_is_in_no_page_of_the_file(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    store = SqliteStore(tmp_path / "journal.db", reserve_bytes=0)
    digests: list[bytes] = []
    packs: list[tuple[int, bytes]] = []
    for seq in range(1, 121):
        small, large = chance.choice([MARK, b"kept"]), chance.choice([MARK, b"kept"])
        row = Row(seq, chance.randbytes(16), chance.randbytes(200), (small * chance.randint(1, 200))[:4_000])
        body = Body(0, chance.randbytes(16), 1, large * chance.randint(300, 3_000))
        store.commit([row], [body] if seq % 2 else [])
        packs += [(seq, b"")] if small == MARK else []
        digests += [body.digest] if large == MARK and seq % 2 else []
    assert MARK in (tmp_path / "journal.db-wal").read_bytes()
    store.forget(0, digests, packs)
    store.close()
    assert MARK not in (tmp_path / "journal.db").read_bytes()
