"""`incidents`: what needs a person, and settling it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.control import IncidentRow, Status
from prytany.abi.errors import Einval, Enoent
from prytany.abi.ids import Pid, format_pid
from prytany.abi.limits import CONTROL_REQUEST_BYTES_MAX
from prytany.cli.attached import command, duration, pid_of, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.numbers import shown_number
from prytany.cli.text import json_line, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock


def list_incidents(home: Path, as_json: bool) -> None:
    """A line for each, oldest first."""

    async def look(client: Client) -> tuple[list[IncidentRow], Status]:
        return await client.incidents(), await client.status()

    rows, status = with_client(home, look)
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if status.notices_given_up:
        many = "1 notice" if status.notices_given_up == 1 else f"{status.notices_given_up} notices"
        say(f"{many} to people could not be delivered: {command('notify', home)}")
    if not rows:
        say("nothing needs a person")
        if not status.os_pid and status.running:
            say(f"what was under way when the kernel ended is looked at by: {command('resume', home)}")
        return
    now_ns = SystemClock().now_ns()
    print(f"{'PID':>6} {'N':>6}  {'KIND':<10} {'SINCE':>10}  CALL OF PROCESS")
    for row in rows:
        what = f"{row.call} of {row.name}" if row.call else row.name
        since = duration(now_ns - row.since_ns)
        print(f"{format_pid(Pid(row.pid)):>6} {shown_number(row.n):>6}  {safe(row.kind):<10} {since:>10}  {safe(what)}")
    for pid in dict.fromkeys(format_pid(Pid(row.pid)) for row in rows if row.kind == "replay"):
        say(f"what process {pid} asked for instead: {command(f'logs {pid}', home)}")
    if status.incidents > len(rows):
        say(f"and {status.incidents - len(rows)} more")
    if any(row.n < 0 for row in rows):
        say("nobody waits for an answer of what is abandoned: see to it yourself, then skip it")
    say(f"settle one with: {command('incidents retry|skip|give PID N', home)}")


def settle(home: Path, choice: str, pid_text: str, n: int, as_json: bool = False, value: object = None) -> None:
    """Retry, skip, or give the result."""
    pid = pid_of(pid_text)

    async def settling(client: Client) -> None:
        try:
            await client.settle(pid, n, choice, value)
        except Enoent as error:
            raise advised(error, f"see what needs a person with: {command('incidents', home)}") from None
        if as_json:
            print(json_line({"pid": pid, "n": n, "choice": choice, "live": client.live}))
        say_recorded(client, as_json)

    with_client(home, settling)


def given_value(text: str | None, from_json: bool) -> object:
    """The value that a person gave, from the command line or from standard input; raises Einval."""
    written = _standard_input() if text is None else text
    if not from_json:
        return written
    try:
        value: object = msgspec.json.decode(written, type=Any)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise Einval(f"what was given is not JSON: {error}") from None
    return value


def _standard_input() -> str:
    read = sys.stdin.buffer.read(CONTROL_REQUEST_BYTES_MAX + 1)
    if len(read) > CONTROL_REQUEST_BYTES_MAX:
        raise Einval(f"at most {CONTROL_REQUEST_BYTES_MAX} bytes can be given")
    try:
        return read.decode()
    except UnicodeDecodeError as error:
        raise Einval(f"what was given is not UTF-8: {error}") from None
