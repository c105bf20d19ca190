"""`triggers`: what starts agents by itself, and switching it on and off."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from prytany.abi.control import TriggerRow
from prytany.abi.errors import Einval, Enoent
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

COLUMNS = (Column("TRIGGER"), Column("FLEET"), Column("AGENT"), Column("ON"), Column("WAITS FOR", long=True),
           Column("NEXT"), Column("FIRED", True), Column("SKIPPED", True), Column("LAST", long=True))  # fmt: skip


def list_triggers(home: Path, as_json: bool) -> None:
    """A line for each."""

    async def look(client: Client) -> list[TriggerRow]:
        return await client.triggers()

    rows = with_client(home, look)
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("no fleet that is up has triggers")
        return
    now_ns = SystemClock().now_ns()
    lines = [
        Line(
            (row.name, row.fleet, row.agent, "on" if row.on else "off", f"{row.kind} {' '.join(row.waits_for)}",
             _moment(row.next_ns), str(row.fired), str(row.skipped), _last(row, now_ns)),
            "" if row.on else "yellow",
        )
        for row in rows
    ]  # fmt: skip
    print("\n".join(table(COLUMNS, lines)))


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S") if time_ns else "-"


def _last(row: TriggerRow, now_ns: int) -> str:
    if not row.last:
        return "-"
    last = row.last[-1]
    what = f"process {format_pid(Pid(last.pid))}" if last.pid else f"nothing: {last.why}"
    return f"{what}, {duration(now_ns - last.time_ns)} ago"


def switch_trigger(home: Path, name: str, fleet: str, as_json: bool, *, on: bool) -> None:
    """Switch it, and say so. Raises Enoent, Einval."""

    async def switch(client: Client) -> TriggerRow:
        row = await client.switch_trigger(name, on, fleet)
        say_recorded(client, as_json)
        return row

    try:
        row = with_client(home, switch)
    except Enoent as error:
        if "trigger" not in error.message:
            raise
        raise advised(error, f"see which there are with: {command('triggers', home)}") from None
    except Einval as error:
        raise advised(error, "name the fleet with --of") from None
    if as_json:
        print(json_line(row))
    else:
        print(f"the trigger {safe(row.name)} of {safe(row.fleet)} is {'on' if row.on else 'off'}")
