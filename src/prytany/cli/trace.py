"""`trace`: what a process did, from its record, and further as it is recorded. It shows no content, only what the
events say: digests of conversations in hexadecimal, and every text with its control characters escaped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prytany.abi.errors import Einval, Enoent, Epipe
from prytany.abi.syscalls import TABLE
from prytany.cli.attached import no_home, no_process, pid_of, reach
from prytany.cli.failure import INTERRUPTED
from prytany.cli.going_on import tell_nothing_runs
from prytany.cli.reader import entry_of, note_archived, open_reader, unknown
from prytany.cli.text import json_line, safe
from prytany.cli.totals import money
from prytany.cli.traced import Line, Traced
from prytany.client import Client
from prytany.drivers.stores.sqlite_reader import SqliteReader

HEAD = (
    f"{'SEQ':>7} {'AT':>10} {'N':>5}  {'EVENT':<18} {'WHAT':<26} {'OUTCOME':<12}"
    f" {'TOOK':>10} {'TOKENS':>13} {'COST':>10}"
)
SHOWN = {
    "n", "call", "tool", "child", "decision", "errno", "took_us", "prompt_tokens", "completion_tokens",
    "cost_usd_micros", "number", "reason",
}  # fmt: skip
"""What has a column of its own; the rest follows by name."""


def trace_process(home: Path, pid_text: str, as_json: bool, *, follow: bool = False, calls: Sequence[str] = ()) -> int:
    """A line an event, of the calls named `calls` alone if there are any; the exit code."""
    pid = pid_of(pid_text)
    for name in calls:
        if name not in TABLE:
            raise Einval(f"there is no call {name!r}; there are {', '.join(sorted(TABLE))}")
    shown = Shown(Traced(pid, frozenset(calls)), as_json)
    reader = open_reader(home, pinned=not follow)
    try:
        shown.take(reader)
        if not shown.traced.known:
            raise no_process(unknown(reader, pid_text), home)
        note_archived(reader, as_json)
        if follow and not shown.traced.ended:
            asyncio.run(_follow(home, reader, shown))
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        reader.close()
    return 0


async def _follow(home: Path, reader: SqliteReader, shown: Shown) -> None:
    """Go on with what becomes durable, until the process has ended or nothing runs any more."""
    try:
        client: Client = await reach(home)
    except Enoent as error:
        raise no_home(error, home) from None
    try:
        while not shown.traced.ended:
            await client.reach()
            if not client.live:
                shown.take(reader)  # what came between the last look and the kernel's end
                if not shown.traced.ended:
                    await tell_nothing_runs(client, shown.as_json)
                return
            try:
                await client.wait_entry(shown.last)
            except Epipe:
                continue  # the kernel stopped
            shown.take(reader)
    finally:
        await client.close()


class Shown:
    """What was printed so far."""

    def __init__(self, traced: Traced, as_json: bool) -> None:
        self.traced = traced
        self.last = 0
        """The last entry that was read."""
        self.as_json = as_json
        self._began_ns = 0
        self._head = not as_json

    def take(self, reader: SqliteReader) -> None:
        """Print what is new."""
        for row in reader.rows(self.last + 1):
            self.last = row.seq
            entry = entry_of(row)
            for line in self.traced.take(entry):
                self._print(row.seq, entry.time_ns, line)
        sys.stdout.flush()

    def _print(self, seq: int, time_ns: int, line: Line) -> None:
        if self.as_json:
            print(json_line({"seq": seq, "time_ns": time_ns, "event": line.event, **line.facts}))
            return
        if self._head:
            print(HEAD)
            self._head = False
        self._began_ns = self._began_ns or time_ns
        print(f"{seq:>7} {(time_ns - self._began_ns) / 1e9:>9.3f}s {_columns(line)}".rstrip())


def _columns(line: Line) -> str:
    facts = line.facts
    tokens = f"{facts['prompt_tokens']} + {facts['completion_tokens']}" if "prompt_tokens" in facts else ""
    cost = money(int(facts["cost_usd_micros"])) if "cost_usd_micros" in facts else ""
    took = f"{facts['took_us'] / 1e6:.3f}s" if "took_us" in facts else ""
    outcome = facts.get("errno") or facts.get("decision") or facts.get("reason") or ""
    rest = "  ".join(f"{name}={safe(str(value))}" for name, value in facts.items() if name not in SHOWN)
    columns = f"{facts.get('n') or '':>5}  {line.event:<18} {safe(_what(facts)):<26} {safe(str(outcome)):<12}"
    return f"{columns} {took:>10} {tokens:>13} {cost:>10}  {rest}"


def _what(facts: dict[str, Any]) -> str:
    """The call and its tool, the message, or the child."""
    named = " ".join(str(facts[name]) for name in ("call", "tool") if name in facts)
    message = f"message {facts['number']}" if "number" in facts else ""
    child = f"child {facts['child']}" if "child" in facts else ""
    return " ".join(filter(None, (named, message, child)))
