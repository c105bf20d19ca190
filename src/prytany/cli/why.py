"""`why`: what a process waits for, down to the last cause."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import CauseRow, Status
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, with_client
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

HELP_SHOWN = 6


def explain_process(home: Path, pid_text: str, as_json: bool) -> None:
    """A line a cause, what it waits for in turn below it, and the commands that help. Raises Esrch."""
    target = named(pid_text)

    async def look(client: Client) -> tuple[list[CauseRow], Status]:
        (pid,) = await pids_of(client, [target])
        return await client.why(pid), await client.status()

    rows, status = with_client(home, look)
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    now_ns = SystemClock().now_ns()
    before = -1, 0
    for row in rows:
        margin = "   " * row.depth
        if (row.depth, row.pid) != before:
            mark = "└─ " if row.depth else ""
            print(safe(f"{margin[3:]}{mark}process {format_pid(Pid(row.pid))} {row.name}"))
        before = row.depth, row.pid
        since = f" for {duration(now_ns - row.since_ns)}" if row.since_ns else ""
        call = f"call {row.n} {row.call}{since}: " if row.n else f"{since.strip()}: " if since else ""
        print(safe(f"{margin}   {call}{row.text}"))
    if not status.os_pid and any(row.kind != "ended" for row in rows):
        say(f"nothing runs here: this is what the journal says; go on with: {command('resume', home)}")
    helps = list(dict.fromkeys(line for row in reversed(rows) for line in row.help))
    for line in helps[:HELP_SHOWN]:
        say(f"what helps: {command(line, home)}")
