"""`locks`: who has what, who waits for it, and taking it away."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import ClaimRow, LockRow
from prytany.abi.errors import Einval, Enoent
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

COLUMNS = (
    Column("LOCK", long=True), Column("OF", long=True), Column("HELD BY", long=True), Column("FOR", right=True),
    Column("WAITING", right=True), Column("WAITS FIRST", long=True), Column("FOR", right=True),
)  # fmt: skip
NAMED_MAX = 3


def list_locks(home: Path, as_json: bool) -> None:
    """A line for each that somebody has or waits for."""
    rows = with_client(home, lambda client: client.locks())
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("nobody has a lock, or waits for one")
        return
    now_ns = SystemClock().now_ns()
    for line in table(COLUMNS, [Line(_cells(row, now_ns)) for row in rows]):
        print(line)
    if any(row.waiting for row in rows):
        say(f"what one waits for, down to the last cause: {command('why PID', home)}")
        say(f"take one away from who has it with: {command('locks break NAME', home)}")


def _cells(row: LockRow, now_ns: int) -> list[str]:
    holders = ", ".join(_holder(one) for one in row.holders[:NAMED_MAX])
    more = f" and {row.held - NAMED_MAX} more" if row.held > NAMED_MAX else ""
    name = f"{row.name} ({row.held} of {row.permits})" if row.permits else row.name
    held_ns = min((one.since_ns for one in row.holders), default=now_ns)
    first = row.waiters[0] if row.waiters else None
    return [
        name, row.where, holders + more or "-", duration(now_ns - held_ns) if row.holders else "-", str(row.waiting),
        _who(first) if first else "-", duration(now_ns - first.since_ns) if first else "-",
    ]  # fmt: skip


def _holder(claim: ClaimRow) -> str:
    return f"{_who(claim)}{', shared' if claim.shared else ''}"


def _who(claim: ClaimRow) -> str:
    return f"{format_pid(Pid(claim.pid))} {claim.name}"


def break_lock(home: Path, name: str, scope: str, as_json: bool) -> None:
    """Take it away. Raises Enoent, Einval."""

    async def take(client: Client) -> int:
        try:
            broken = await client.break_lock(name, scope)
        except Enoent as error:
            raise advised(error, f"see who has what with: {command('locks', home)}") from None
        except Einval as error:
            raise advised(error, "say which with --scope, as locks --json shows them") from None
        say_recorded(client, as_json)
        return broken

    broken = with_client(home, take)
    if as_json:
        print(json_line({"name": name, "taken": broken}))
    else:
        print(f"taken from {broken} {'process' if broken == 1 else 'processes'}")
