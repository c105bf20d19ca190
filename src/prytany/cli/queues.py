"""`models queue` and `sched`: the queues at models, and who is next in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prytany.abi.control import CallRow, PaceRow, QueueRow, SparedRow
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, with_client
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, safe, say, size_said
from prytany.cli.totals import money
from prytany.client import Client

QUEUES = (
    Column("MODEL", long=True), Column("WAITING", right=True), Column("INT", right=True), Column("INI", right=True),
    Column("UTI", right=True), Column("BACK", right=True), Column("IN FLIGHT", right=True),
    Column("REQUESTS/MIN", right=True), Column("TOKENS/MIN", right=True), Column("429", right=True),
    Column("BREAKER", long=True),
)  # fmt: skip
CALLS = (
    Column("PID", right=True), Column("CALL", right=True), Column("CLASS"), Column("WEIGHT", right=True),
    Column("WAITED", right=True), Column("TOKENS", right=True), Column("AGENT", long=True),
    Column("WAITS FOR", long=True),
)  # fmt: skip
SPARED = (
    Column("NOT ASKED", long=True), Column("TWINS WAIT", right=True), Column("TWINS", right=True),
    Column("HITS", right=True), Column("MISSES", right=True), Column("KEPT", right=True), Column("BYTES", right=True),
    Column("TOKENS SPARED", right=True), Column("COST SPARED", right=True),
)  # fmt: skip
CALLS_SHOWN = 20


def show_queues(home: Path, as_json: bool) -> None:
    """A line a model that was asked: who waits, what is in flight, its rates, refusals and breaker; and what was not
    asked, of those whose calls may be spared."""
    rows = _look(home)
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    for line in table(QUEUES, [Line(_cells(row), "red" if row.breaker == "open" else "") for row in rows]):
        print(line)
    spared = [Line(_spared_cells(row, row.spared)) for row in rows if row.spared is not None]
    for line in table(SPARED, spared) if spared else ():
        print(line)
    _say_what_is_missing(rows, home)


def show_order(home: Path, as_json: bool) -> None:
    """For each model its policy, who is next and why, what that one waits for, and who else waits."""
    rows = _look(home)
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    for row in rows:
        for line in _order(row):
            print(line)
    _say_what_is_missing(rows, home)


def _look(home: Path) -> list[QueueRow]:
    async def look(client: Client) -> list[QueueRow]:
        return await client.queues()

    return with_client(home, look)


def _say_what_is_missing(rows: list[QueueRow], home: Path) -> None:
    if not rows:
        say("no model is asked, nor was one of late; see which there are with: prytany models list")
    elif not rows[0].live:
        say(
            "nothing runs here: this is what the journal says; order, limits and breakers are a kernel's:"
            f" {command('resume', home)}"
        )


def _cells(row: QueueRow) -> list[str]:
    at_once = f" of {row.at_once}" if row.at_once else ""
    flight = f"{row.in_flight}{at_once}" if row.live else "-"
    refusals, breaker = (str(row.refusals), _breaker(row)) if row.live else ("-", "-")
    waiting = list(row.waiting.values())
    return [
        name_of(row), str(sum(waiting)), *map(str, waiting), flight, _pace(row.requests), _pace(row.tokens), refusals,
        breaker,
    ]  # fmt: skip


def _spared_cells(row: QueueRow, spared: SparedRow) -> list[str]:
    most = f" of {size_said(spared.answers_bytes_max)}" if spared.answers_bytes_max else ""
    return [
        name_of(row), str(spared.waiting), f"{spared.twins:,}", f"{spared.hits:,}", f"{spared.misses:,}",
        f"{spared.answers:,}", f"{size_said(spared.answers_bytes)}{most}", f"{spared.tokens:,}",
        money(spared.cost_usd_micros),
    ]  # fmt: skip


def name_of(row: QueueRow) -> str:
    """What people call a model: as its fleets do, or as it calls itself."""
    return ", ".join(row.names) or row.endpoint or row.model or "the default"


def _pace(pace: PaceRow) -> str:
    if not pace.allowed:
        return f"{pace.used:,}"
    return f"{pace.used:,} of {pace.allowed:,}{'?' if pace.learned else ''}"


def _breaker(row: QueueRow) -> str:
    if row.breaker == "closed":
        paused = max(0, row.paused_ns - row.now_ns)
        return f"paused {duration(paused)}" if paused else "closed"
    since = duration(row.now_ns - row.breaker_since_ns)
    return f"{row.breaker} for {since}: {row.breaker_cause}" if row.breaker_cause else row.breaker


def _order(row: QueueRow) -> Iterator[str]:
    waiting = ", ".join(f"{count} {qos}" for qos, count in row.waiting.items() if count) or "nobody"
    policy = f" ({row.policy})" if row.policy else ""
    yield safe(f"{name_of(row)}{policy}: {waiting} {'waits' if sum(row.waiting.values()) < 2 else 'wait'}")
    if row.live:
        at_once = f" of {row.at_once}" if row.at_once else ""
        rates = [f"{row.in_flight}{at_once} in flight", *_left("requests", row.requests), *_left("tokens", row.tokens)]
        yield f"  {', '.join(rates)}, breaker {safe(_breaker(row))}, a call takes {duration(row.service_us * 1000)}"
    if row.next is not None:
        call = row.next
        yield safe(
            f"  next: process {format_pid(Pid(call.pid))} ({call.name}), {call.qos}, for"
            f" {duration(call.waited_us * 1000)}: {row.why}"
        )
        until = f", for {duration(row.ready_ns - row.now_ns)}" if row.ready_ns > row.now_ns else ""
        yield safe(f"  it waits for: {row.waits_for}{until}" if row.waits_for else "  it begins now")
    if row.spared is not None and row.spared.waiting:
        yield f"  {row.spared.waiting} more wait for the answer to the same call, which is under way"
    if row.parked:
        yield f"  {row.parked} of those that wait do so for a budget"
    if row.calls:
        for line in table(CALLS, [Line(_call(call)) for call in row.calls[:CALLS_SHOWN]]):
            yield f"  {line}"
    more = sum(row.waiting.values()) - min(len(row.calls), CALLS_SHOWN)
    if more > 0:
        yield f"  and {more} more"


def _left(what: str, pace: PaceRow) -> list[str]:
    return [f"{pace.left:,} of {pace.allowed:,} {what} a minute left"] if pace.allowed else []


def _call(call: CallRow) -> list[str]:
    waits = f"the budget {call.account}" if call.account else "its turn"
    waits += f", refused {call.refusals} times" if call.refusals else ""
    return [
        format_pid(Pid(call.pid)), str(call.n), call.qos, str(call.weight), duration(call.waited_us * 1000),
        f"{call.tokens:,}", call.agent or call.name, waits,
    ]  # fmt: skip
