"""What a long conversation takes on disk: `python -m benchmarks.growth --json`.

One inline agent holds one conversation of 1,600 turns through the whole kernel, in a SQLite store: 200 bytes asked and
200 bytes answered a turn, text that does not repeat. The model answers at once and is asked all that was said, every
time. Then a snapshot of the state is saved and the log is emptied into the database: `growth_ratio` is the bytes of the
store (rows, bodies, snapshots, index) over the bytes of what was said.

`row_bytes_a_turn_*` are the bytes of the entries of 100 turns, divided by them, at the beginning and at the end: the
second is larger by what the numbers in it need. `turn_us_*` is the median time of a turn with its two syncs, `cpu_us_*`
what the kernel's thread computes in it, and `prompt_us_*` the median of what it takes to put the request together from
the journal. `cold_read_ms` is what a kernel that holds nothing takes to read and check all of it.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import uvloop

from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.snapshot import snapshot_of
from prytany.kernel.effects.chains import Chains
from prytany.kernel.effects.context import ContextEffects
from prytany.memory.tiers import Tiers
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelRequest, Usage
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process

SAID_BYTES = 200
WINDOW = 100
HERE = f"{__file__}:talks"
turns_us: list[float] = []
cpu_us: list[float] = []
prompts_us: list[float] = []
cold_ms: list[float] = []


def words(seed: str) -> str:
    """200 bytes of text that no compression makes smaller than three quarters."""
    blocks = b"".join(blake2b(f"{seed} {part}".encode()).digest() for part in range(3))
    return base64.b85encode(blocks).decode()[:SAID_BYTES]


class Answers:
    """A model that answers at once with 200 bytes, and checks that it was told everything."""

    name = "answers"
    features = ModelFeatures(deterministic=True)

    def __init__(self) -> None:
        self.asked = 0

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        assert len(request.messages) == 2 * self.asked + 1
        self.asked += 1
        return ModelAnswer(words(f"answer {self.asked}"), "stop", usage=Usage(50 * len(request.messages), 50, 0))

    def stream(self, request: ModelRequest) -> Any:
        raise AssertionError("not streamed")

    async def embed(self, texts: list[str]) -> Embedded:
        raise AssertionError("not embedded")

    async def close(self) -> None:
        return


@agent(pledge="model")
async def talks(proc: Process, turns: int) -> str:
    """One conversation."""
    talk = proc.conversation()
    for turn in range(turns):
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        await talk.llm(words(f"question {turn}"))
        turns_us.append((time.perf_counter_ns() - began) / 1_000)
        cpu_us.append((time.thread_time_ns() - used) / 1_000)
    return talk.node


def timed(prompt: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Remember what each request took to put together."""

    async def measured(*args: Any) -> Any:
        began = time.perf_counter_ns()
        made = await prompt(*args)
        prompts_us.append((time.perf_counter_ns() - began) / 1_000)
        return made

    return measured


async def converse(home: Path, turns: int) -> None:
    """The whole conversation, a snapshot, and an orderly end."""

    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({HERE: talks})}

    shard = await Shard.open(home, {"": Answers()}, runners=runners)
    ledger, operator = shard.kernel.ledger, shard.kernel.operator
    ended = await operator.wait_ended(operator.spawn(HERE, [turns], {}, uid=0, kind="inline"))
    assert ended["status"] == 0, ended
    assert len(ended["result"]) == 32
    await ledger.journal.wait_durable(ledger.journal.head.seq)
    snapshot = snapshot_of(ledger.journal.head, "growth", ledger.state.encode())
    await ledger.journal.save_snapshot(lambda: snapshot)
    cold = Chains(lambda: shard.kernel.reader, ledger.digest, Tiers(1 << 30))
    head = ledger.state.contexts.owned[1].heads[1]
    began = time.perf_counter_ns()
    _, length = await cold.read(head.seq, head.at)
    cold_ms.append((time.perf_counter_ns() - began) / 1e6)
    assert length == 2 * turns
    await shard.close()


def checkpoint(home: Path) -> None:
    """Empty the log into the database."""
    connection = apsw.Connection(str(home / "journal.db"))
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
    assert not busy
    connection.close()


def row_bytes(home: Path) -> list[int]:
    """Of each entry."""
    reader = SqliteReader(home / "journal.db")
    sizes = [len(row.hash) + len(row.record) + len(row.bodies) for row in reader.rows(1)]
    reader.close()
    return sizes


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description="A long conversation's bytes.")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--turns", type=int, default=1_600)
    turns: int = parser.parse_args().turns
    ContextEffects.prompt = timed(ContextEffects.prompt)  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        uvloop.run(converse(home, turns))
        checkpoint(home)
        rows = row_bytes(home)
        store = sum(p.stat().st_size for p in home.glob("journal.db*"))
    # Before the first turn and after the last there are entries of the kernel's and of the process's life.
    first, last = rows[8 : 8 + 2 * WINDOW], rows[-2 - 2 * WINDOW : -2]
    said = 2 * SAID_BYTES * turns
    report = {
        "benchmark": "growth",
        "turns": turns,
        "content_bytes": said,
        "store_bytes": store,
        "growth_ratio": round(store / said, 3),
        "row_bytes_a_turn_first": round(sum(first) / WINDOW),
        "row_bytes_a_turn_last": round(sum(last) / WINDOW),
        "entries_a_turn": round(len(rows) / turns, 2),
        "turn_us_first": round(median(turns_us[:WINDOW])),
        "turn_us_last": round(median(turns_us[-WINDOW:])),
        "cpu_us_first": round(median(cpu_us[:WINDOW])),
        "cpu_us_last": round(median(cpu_us[-WINDOW:])),
        "prompt_us_first": round(median(prompts_us[:WINDOW])),
        "prompt_us_last": round(median(prompts_us[-WINDOW:])),
        "cold_read_ms": round(cold_ms[0]),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
