"""How fast the journal acknowledges appends, against a bare apsw loop that inserts the same rows in the same batches.

    python -m benchmarks.journal --json

256 callers each have one entry outstanding (a 160-byte record, a 64-byte body packed beside it) and append the next
when it is acknowledged: by the watermark, as the kernel holds replies back (`appends_per_s`), and as 256 tasks that
await `wait_durable` (`appends_by_tasks_per_s`). A bare loop of BEGIN IMMEDIATE, executemany, COMMIT inserts the
same rows in batches of the same sizes into a fresh file: with SQLite's own page size (`raw`), and with the store's
(`raw_same_page`). All sync, in one run, over several rounds, the baseline first in every other one; the figures are
medians, and the ratios are medians of each round's ratio. The bare loop's rows are chained before its clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import apsw
import uvloop

from prytany.drivers.stores.sqlite import SqliteStore
from prytany.journal.anchor import Anchor
from prytany.journal.bodies import pack
from prytany.journal.chain import next_hash
from prytany.journal.writer import START, Journal
from prytany.ports.store import Body, Row

RECORD = bytes(range(160))
STORE_PAGE_BYTES = 8_192
PACKED = pack([(bytes(16), bytes(64))])


class Recording(SqliteStore):
    """Remembers the size of each commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []

    def commit(self, rows: Sequence[Row], bodies: Sequence[Body], *, reserve: bool = False) -> None:
        """Commit and remember how many."""
        super().commit(rows, bodies, reserve=reserve)
        self.batches.append(len(rows))


class Held:
    """Callers held back until the watermark has passed their entry, as the kernel holds its replies."""

    def __init__(self, appends: int) -> None:
        self.seqs: deque[int] = deque()
        self.left = appends
        self.done = asyncio.get_running_loop().create_future()
        self.append: Callable[[bytes, bytes], int] | None = None

    def release(self, durable: int) -> None:
        seqs, append = self.seqs, self.append
        if append is None:
            return
        while seqs and seqs[0] <= durable:
            seqs.popleft()
            if self.left:
                self.left -= 1
                seqs.append(append(RECORD, PACKED))
        if not seqs:
            self.done.set_result(None)


async def by_watermark(journal: Journal, held: Held, waiting: int, appends: int) -> None:
    """`waiting` callers, each appending again when its entry was acknowledged by `on_durable`."""
    held.append = journal.append
    held.left = appends - waiting
    held.seqs.extend(journal.append(RECORD, PACKED) for _ in range(waiting))
    await held.done


async def by_tasks(journal: Journal, held: Held, waiting: int, appends: int) -> None:
    """`waiting` tasks, each awaiting its entry."""

    async def one() -> None:
        for _ in range(appends // waiting):
            await journal.wait_durable(journal.append(RECORD, PACKED))

    await asyncio.gather(*(one() for _ in range(waiting)))


async def run_journal(folder: Path, waiting: int, appends: int, tasks: bool) -> tuple[float, list[int]]:
    """Appends acknowledged a second, and the batches they made."""
    store = Recording(folder / "journal.db")
    anchor = Anchor(folder / "head")
    held = Held(appends)
    journal = Journal(store, asyncio.get_running_loop(), START, held.release, lambda error: None, anchor=anchor)

    began = time.perf_counter()
    await (by_tasks if tasks else by_watermark)(journal, held, waiting, appends)
    took = time.perf_counter() - began
    await journal.close()
    store.close()
    return journal.durable / took, store.batches


def batches_of(sizes: list[int]) -> list[list[tuple[int, bytes, bytes, bytes]]]:
    """The rows that the journal made, in batches of these sizes, chained beforehand."""
    batches: list[list[tuple[int, bytes, bytes, bytes]]] = []
    seq, hash_ = START
    for size in sizes:
        batch: list[tuple[int, bytes, bytes, bytes]] = []
        for _ in range(size):
            seq, hash_ = seq + 1, next_hash(hash_, RECORD)
            batch.append((seq, hash_, RECORD, PACKED))
        batches.append(batch)
    return batches


def run_raw(folder: Path, sizes: list[int], page_bytes: int = 0) -> float:
    """The same rows in the same batches, by a bare loop; rows a second."""
    connection = apsw.Connection(str(folder / f"raw{page_bytes}.db"))
    if page_bytes:
        connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = " + ("2000" if page_bytes else "4000"))
    connection.execute(
        "CREATE TABLE rows("
        "seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, record BLOB NOT NULL, bodies BLOB NOT NULL) STRICT"
    )
    cursor = connection.cursor()
    batches = batches_of(sizes)
    began = time.perf_counter()
    for batch in batches:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany("INSERT INTO rows VALUES(?, ?, ?, ?)", batch)
        cursor.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return sum(sizes) / took


class Round(NamedTuple):
    """Rates a second of one round."""

    journal: float
    tasks: float
    raw: float
    raw_tuned: float
    commits: int


def one_round(waiting: int, appends: int, where: str | None, raw_first: bool) -> Round:
    """All four, once; the baseline goes first in every other round."""
    sizes = [waiting] * (appends // waiting)
    raw = raw_tuned = 0.0
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        if raw_first:  # the sizes that the other rounds were seen to make
            raw, raw_tuned = run_raw(folder, sizes), run_raw(folder, sizes, STORE_PAGE_BYTES)
        journal, sizes = uvloop.run(run_journal(folder / "a", waiting, appends, False))
        tasks, _ = uvloop.run(run_journal(folder / "b", waiting, appends, True))
        if not raw_first:
            raw, raw_tuned = run_raw(folder, sizes), run_raw(folder, sizes, STORE_PAGE_BYTES)
    return Round(journal, tasks, raw, raw_tuned, len(sizes))


def main() -> None:
    """Run the rounds and print."""
    parser = argparse.ArgumentParser(description="The journal against a bare apsw loop.")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--waiting", type=int, default=256)
    parser.add_argument("--appends", type=int, default=51_200)
    parser.add_argument("--dir", help="where the files are written; the disk that is measured")
    options = parser.parse_args()
    rounds: list[Round] = []
    for number in range(options.rounds):
        rounds.append(one_round(options.waiting, options.appends, options.dir, bool(number % 2)))
        if not options.json:
            print(f"round {number}: " + ", ".join(f"{n} {v:,.0f}" for n, v in rounds[-1]._asdict().items()))
    report = {
        "benchmark": "journal",
        "waiting": options.waiting,
        "appends": options.appends,
        "rounds": options.rounds,
        "appends_per_s": round(median(r.journal for r in rounds)),
        "appends_by_tasks_per_s": round(median(r.tasks for r in rounds)),
        "raw_per_s": round(median(r.raw for r in rounds)),
        "raw_same_page_per_s": round(median(r.raw_tuned for r in rounds)),
        "ratio_raw": round(median(r.journal / r.raw for r in rounds), 3),
        "ratio_raw_same_page": round(median(r.journal / r.raw_tuned for r in rounds), 3),
        "ratio_raw_by_tasks": round(median(r.tasks / r.raw for r in rounds), 3),
        "entries_per_commit": round(options.appends / rounds[-1].commits, 1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
