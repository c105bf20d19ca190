"""`wait`: until a process has ended."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import msgspec

from prytany.abi.control import Ended
from prytany.abi.errors import Einval, Esrch, KernelError
from prytany.cli.attached import json_line, pid_of, with_client
from prytany.cli.text import safe, say
from prytany.client import Client

TIMED_OUT = 124
FAILED = 125
NOT_THERE = 127
"""The codes of timeout(1), and of the shell's own `wait`."""


def wait_process(home: Path, pid_text: str, timeout_s: float | None, as_json: bool) -> int:
    """Print what the process leaves; its exit status, or one of the codes above."""

    async def wait(client: Client) -> Ended | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await client.wait(pid)
        except TimeoutError:
            return None

    try:
        pid = pid_of(pid_text)
        if timeout_s is not None and not math.isfinite(timeout_s):
            raise Einval(f"{timeout_s} is no length of time")
        ended = with_client(home, wait)
    except KernelError as error:
        print(f"prytany: {safe(str(error))}", file=sys.stderr)
        return NOT_THERE if isinstance(error, Esrch) else FAILED
    if ended is None:
        print(f"prytany: process {pid_text} has not ended after {timeout_s:g} s", file=sys.stderr)
        return TIMED_OUT
    if as_json:
        print(json_line(msgspec.structs.asdict(ended)))
    else:
        show_end(ended.result, ended.error)
    return ended.status


def show_end(result: object, error: object) -> None:
    """What a program returned goes to standard output, and what it raised to standard error."""
    if isinstance(error, dict):
        told: dict[str, object] = {str(key): value for key, value in error.items()}  # pyright: ignore
        text = str(told.get("traceback") or f"{told.get('type')}: {told.get('message')}")
        say(text, lines=True)
    if isinstance(result, str):
        print(safe(result, lines=True))
    elif result is not None:
        print(safe(repr(result)))
