"""What the commands that look at and steer a home have in common."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from prytany.abi.errors import Einval
from prytany.abi.ids import Pid, parse_pid
from prytany.cli.text import safe
from prytany.client import Client, attach

T = TypeVar("T")


def with_client(home: Path, action: Callable[[Client], Awaitable[T]]) -> T:
    """Run `action` with a client of the home."""

    async def session() -> T:
        client = await attach(home)
        try:
            return await action(client)
        finally:
            await client.close()

    return asyncio.run(session())


def pid_of(text: str) -> Pid:
    """The pid that a person wrote; raises Einval."""
    try:
        return parse_pid(text)
    except ValueError:
        raise Einval(f"not a pid: {text!r}") from None


def command(line: str, home: Path) -> str:
    """A command that can be copied from the terminal, for this home."""
    return safe(f"prytany {line} --home {shlex.quote(str(home))}")


def say_recorded(client: Client) -> None:
    """Say that what was commanded waits, where nothing runs."""
    if not client.live:
        print(f"nothing runs here: it is recorded; go on with: {command('resume', client.home)}", file=sys.stderr)


def json_line(value: object) -> str:
    """`value` as one line of JSON; what JSON does not have is written as text."""
    return msgspec.json.encode(value, enc_hook=repr).decode()


def duration(ns: int) -> str:
    """A length of time, for people."""
    seconds = max(ns, 0) / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
