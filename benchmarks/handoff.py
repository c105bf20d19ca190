"""What it takes to hand a long conversation to another agent: `python -m benchmarks.handoff --json`.

A conversation of 400 messages of 1,000 bytes, about 100,000 tokens, on a kernel with a journal on disk and inline
agents. `handoff_ms`: from the call until the first instruction of the other agent, when the handoff is durable; the
median of handoffs of many processes, one after the other. `bytes_added`: what one adds to the journal, its record and
the content beside it. `keep_ms` and `keep_bytes`: the same with a filter that leaves the last ten messages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.runtime.inline import InlineRunner
from prytany.system.shard import Shard
from prytany.userland.process import Process

TARGETS = {"handoff_ms": 2.0, "bytes_added": 2_000}
MESSAGES = 400
MESSAGE_BYTES = 1_000
WORDS = "the sea is wide and ships are small while wind goes on over it "
begun_ns: dict[int, list[int]] = {}
"""By pid: when the call was made, and when the other agent began."""


async def first(proc: Process, last: int | None) -> None:
    talk = proc.conversation("You sell.")
    text = (WORDS * (MESSAGE_BYTES // len(WORDS) + 1))[:MESSAGE_BYTES]
    roles = ("user", "assistant")
    await talk.extend([{"role": roles[n % 2], "content": f"{n} {text}"[:MESSAGE_BYTES]} for n in range(MESSAGES)])
    begun_ns[proc.pid] = [time.perf_counter_ns()]
    await proc.handoff("second", conversation=talk, variables={"order": 7}, reason="it is broken", last=last)


async def second(proc: Process) -> int:
    begun_ns[proc.pid].append(time.perf_counter_ns())
    assert proc.handed is not None
    assert proc.handed.conversation is not None
    return proc.handed.conversation.number


def _agents() -> list[Agent]:
    programs = [Program(name, name, b"# " + name.encode(), ("model",)) for name in ("first", "second")]
    return [Agent(p.name, "inline", p, handoff=["second"] if p.name == "first" else []) for p in programs]


async def measure(home: Path, count: int) -> dict[str, float]:
    """Handoffs of `count` processes, whole and filtered."""
    runner = InlineRunner({"first": first, "second": second})
    shard = await Shard.open(home, {}, runners=lambda logs: {"inline": runner})
    try:
        kernel, figures = shard.kernel, dict[str, float]()
        fleet = kernel.fleet_operator.declare("b", _agents(), models={}, tools=[], resolved=b"{}", uid=os.getuid())
        for name, last in (("handoff", None), ("keep", 10)):
            took_ms: list[float] = []
            for _ in range(count):
                pid = kernel.fleet_operator.start(fleet, "first", [last], {}, uid=os.getuid())
                ended = await kernel.operator.wait_ended(pid)
                if ended["status"]:
                    raise RuntimeError(str(ended["error"]))
                asked, began = begun_ns[pid]
                took_ms.append((began - asked) / 1e6)
            figures[f"{name}_ms"] = round(statistics.median(took_ms), 3)
            figures["bytes_added" if last is None else "keep_bytes"] = _added(shard, pid)
        return figures
    finally:
        await shard.close()


def _added(shard: Shard, pid: int) -> int:
    """The bytes of what lies between the last message of the conversation and the other agent's beginning."""
    rows: list[tuple[int, list[Any]]] = []
    for row in shard.kernel.reader.rows(1):
        events = [e for e in ev.decode_entry(row.record).events if getattr(e, "pid", 0) == pid]
        rows.append((len(row.record) + len(row.bodies), events))
    full = next(at for at, (_, events) in enumerate(rows) if any(_is_whole(e) for e in events))
    handed = next(at for at, (_, events) in enumerate(rows) if any(isinstance(e, ev.ProcessHandedOff) for e in events))
    return sum(size for size, _ in rows[full + 1 : handed + 1])


def _is_whole(event: ev.Event) -> bool:
    return isinstance(event, ev.ContextAppended) and len(event.nodes) == MESSAGES


def main() -> int:
    """Print the figures; the exit status says whether the targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--count", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder) / "home", given.count))
    print(json.dumps(figures) if given.json else "\n".join(f"{name:<12} {value}" for name, value in figures.items()))
    return 0 if all(figures[name] <= most for name, most in TARGETS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
