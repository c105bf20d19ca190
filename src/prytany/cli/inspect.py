"""`inspect`: everything about one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from prytany.abi.control import Inspection, Status
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, with_client
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line, safe
from prytany.cli.totals import total_line
from prytany.client import Client

OPEN_SHOWN = 20
CHILDREN_SHOWN = 40
CONTEXTS_SHOWN = 10


def inspect_process(home: Path, pid_text: str, as_json: bool) -> None:
    """Print it, for people or as JSON."""

    target = named(pid_text)

    async def inspect(client: Client) -> tuple[Inspection, Status]:
        (pid,) = await pids_of(client, [target])
        return await client.inspect(pid), await client.status()

    found, status = with_client(home, inspect)
    if as_json:
        print(json_line(found))
        return
    for name, value in _lines(found, status, home):
        print(f"{name:<12} {safe(value)}".rstrip())


def _lines(p: Inspection, status: Status, home: Path) -> Iterator[tuple[str, str]]:
    yield f"process {format_pid(Pid(p.pid))}", f"{p.name} ({p.kind})"
    yield "state", f"{p.state}, {p.reason}" if p.reason else p.state
    if p.ended_ns:
        yield "status", f"{p.status}" + (f", by signal {p.signal}" if p.signal else "")
    yield "program", p.program
    yield "version", p.source
    if p.pending:
        yield "upgrade", f"at the end of the message in hand, to {p.pending}"
    if p.python:
        yield "python", p.python
    yield "family", f"parent {p.parent}, run {p.run}, depth {p.depth}, {len(p.children)} children"
    if p.session:
        yield "session", f"{format_pid(Pid(p.session))}, with which it ends"
    if p.children:
        more = " …" if len(p.children) > CHILDREN_SHOWN else ""
        yield "children", " ".join(format_pid(Pid(c)) for c in p.children[:CHILDREN_SHOWN]) + more
    yield "incarnation", f"{p.incarnation}, failed {p.failures} times, restarted {p.limits.get('restarts', 0)} at most"
    yield from _rights(p, status)
    yield from _doing(p, home)
    yield from _holding(p)
    yield from _taken(p)


def _rights(p: Inspection, status: Status) -> Iterator[tuple[str, str]]:
    yield "pledge", " ".join(p.pledge) or "nothing"
    if p.unveil:
        for path, rights in p.unveil.items():
            yield "unveil", f"{rights:<3} {path}"
    else:
        yield "unveil", "nothing"
    if status.os_pid and not status.confined:
        yield "confined", "NO (--unconfined)"
    yield "model", p.model or "the default"
    if p.qos:
        yield "class", f"{p.qos}, weight {p.weight}{_deadline(p)}"
    if p.accounts:
        yield "budgets", " ".join(p.accounts)
    yield "tools", " ".join(p.tools) or "none"
    if p.tags:
        yield "tags", " ".join(p.tags)


def _deadline(p: Inspection) -> str:
    left_ns = p.deadline_ns - p.now_ns
    if not p.deadline_ns:
        return ""
    return f", a deadline in {duration(left_ns)}" if left_ns > 0 else ", a deadline that has passed"


def _doing(p: Inspection, home: Path) -> Iterator[tuple[str, str]]:
    for call in p.open[:OPEN_SHOWN]:
        doubt = ", in doubt" if call.doubt else ""
        waits = f", waits for {call.waits}" if call.waits else ""
        yield f"open {call.n}", f"{call.call}, for {duration(p.now_ns - call.opened_ns)}{waits}{doubt}"
    if len(p.open) > OPEN_SHOWN:
        yield "open", f"and {len(p.open) - OPEN_SHOWN} more"
    for incident in p.incidents:
        settle = command(f"incidents retry {format_pid(Pid(p.pid))} {incident.n}", home)
        yield "needs", f"a person: {incident.kind}, for {duration(p.now_ns - incident.since_ns)}; {settle}"


def _holding(p: Inspection) -> Iterator[tuple[str, str]]:
    box = p.mailbox
    yield "mailbox", f"{box.waiting} waiting, {box.in_hand} in hand, {box.dead} dead"
    for context in p.contexts[:CONTEXTS_SHOWN]:
        size = f"{context.messages} messages, {context.size_bytes} bytes"
        yield f"context {context.number}", f"{size}, head {context.node}"
    if len(p.contexts) > CONTEXTS_SHOWN:
        yield "context", f"and {len(p.contexts) - CONTEXTS_SHOWN} more"


def _taken(p: Inspection) -> Iterator[tuple[str, str]]:
    yield (
        "limits",
        ", ".join(
            f"{name} {p.used[name]} of {most}" if name in p.used else f"{name} {most}"
            for name, most in p.limits.items()
        ),
    )
    for what, stood_at in p.warned.items():
        yield "warned", f"{what} stood at {stood_at}"
    took = {name: value for name, value in msgspec.structs.asdict(p.usage).items() if name != "processes"}
    yield "usage", ", ".join(f"{name} {value}" for name, value in (took | {"wall_us": p.wall_us}).items())
    if p.queued_us:
        yield "queued", f"{duration(p.queued_us * 1000)} for turns at models"
    yield "tree", total_line(p.tree)
    for call, times in p.denied.items():
        yield "denied", f"{call}, {times} times"
    for what, at_ns in (("spawned", p.spawned_ns), ("started", p.started_ns), ("ended", p.ended_ns)):
        if at_ns:
            yield what, f"{duration(p.now_ns - at_ns)} ago"
    yield "journal", f"spawned at {p.spawned_seq}, last of its record {p.tail}, ended at {p.ended_seq or '-'}"
    if p.forgotten:
        yield "forgotten", "its content was destroyed"
