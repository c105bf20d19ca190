"""`sessions`: who talks with which agent, since when, and ending it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prytany.abi.control import SessionRow
from prytany.abi.errors import Epipe, Esrch, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, pid_of, say_recorded, with_client
from prytany.cli.failure import FAILED, advised, tell
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

COLUMNS = (
    Column("SESSION", right=True), Column("STATE", long=True), Column("USER", long=True), Column("AGENT", long=True),
    Column("PROCESSES", right=True), Column("BEGUN", right=True), Column("SPOKEN", right=True), Column("KEPT"),
)  # fmt: skip
COLOURS = {"open": "green", "closing": "yellow", "closed": "bright_black"}


def list_sessions(home: Path, as_json: bool, *, every: bool) -> None:
    """A line a session, or a JSON object; of those that have ended where that is asked."""

    async def look(client: Client) -> list[SessionRow]:
        return await client.sessions()

    found = with_client(home, look)
    rows = found if every else [row for row in found if row.state != "closed"]
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    now_ns = SystemClock().now_ns()
    for line in table(COLUMNS, [Line(_cells(row, now_ns), COLOURS.get(row.state, "")) for row in rows]):
        print(line)
    if not rows:
        ended = f"; {len(found)} have ended: {command('sessions --all', home)}" if found else ""
        say(f"no session is open{ended}; begin one with: {command('chat', home)}")


def _cells(row: SessionRow, now_ns: int) -> list[str]:
    there = f", {row.attended} there" if row.state == "open" and row.attended else ""
    state = f"{row.state} ({row.reason})" if row.reason else row.state + there
    spoken = f"{duration(now_ns - row.spoken_ns)} ago" if row.spoken_ns else "-"
    begun = f"{duration(now_ns - row.begun_ns)} ago"
    kept = "yes" if row.kept else f"{row.grace_ms / 1000:g} s"
    agent = f"{row.fleet}.{row.agent}"
    return [format_pid(Pid(row.session)), state, row.user, agent, str(row.processes), begun, spoken, kept]


def end_sessions(home: Path, texts: Sequence[str], as_json: bool) -> int:
    """End each, and tell the others; 0, or 2 when one of them could not be."""
    numbers = list(dict.fromkeys(pid_of(text) for text in texts))

    async def each(client: Client) -> int:
        failed = 0
        for number in numbers:
            failed += not await _end(client, number, as_json)
        if failed < len(numbers):
            say_recorded(client, as_json)
        return FAILED if failed else 0

    return with_client(home, each)


async def _end(client: Client, number: Pid, as_json: bool) -> bool:
    try:
        await client.close_session(number)
        reason = ""
        if client.live:
            try:
                reason = (await client.attend(number)).reason
            except (Esrch, Epipe):  # it was let go of meanwhile, or the kernel stops: the next one goes on
                reason = ""
    except KernelError as error:
        known = advised(error, f"see which there are with: {command('sessions --all', client.home)}")
        tell(known if isinstance(error, Esrch) else error, as_json, session=number)
        return False
    state, how = ("closed", "has ended") if client.live else ("closing", "is to end")
    if as_json:
        print(json_line({"session": number, "state": state, "reason": reason}))
    else:
        print(f"session {format_pid(number)} {how}" + (f": {safe(reason)}" if reason else ""))
    return True
