"""`wait`: until a process has ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path

from prytany.abi.control import Ended
from prytany.abi.errors import Eagain, Einval, Esrch, Etimedout, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, pid_of, with_client
from prytany.cli.failure import advised, tell
from prytany.cli.text import json_line, safe, say
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
            if (await client.inspect(pid)).ended_ns:  # with no time at all, or just now
                return await client.wait(pid)
            return None

    try:
        pid = pid_of(pid_text)
        if timeout_s is not None and not math.isfinite(timeout_s):
            raise Einval(f"{timeout_s} is no length of time")
        ended = with_client(home, wait)
    except KernelError as error:
        if isinstance(error, Eagain):
            advised(error, f"let it go on with: {command('resume', home)}")
        tell(error, as_json, "prytany wait --help shows what it takes")
        return NOT_THERE if isinstance(error, Esrch) else FAILED
    if ended is None:
        see = f"see what it waits for with: {command(f'inspect {pid_text}', home)}"
        tell(advised(Etimedout(f"process {pid_text} has not ended after {timeout_s:g} s"), see), as_json)
        return TIMED_OUT
    show(ended, as_json)
    return ended.status


def show(ended: Ended, as_json: bool) -> None:
    """The end of a process, for people or as JSON."""
    if as_json:
        print(json_line(ended))
        return
    show_end(ended.result, ended.error)
    if ended.status and ended.error is None:
        say(f"process {format_pid(Pid(ended.pid))} ended: {ended.reason} (status {ended.status})")


def show_end(result: object, error: object) -> None:
    """What a program returned goes to standard output, and what it raised to standard error."""
    if isinstance(error, dict):
        told: dict[str, object] = {str(key): value for key, value in error.items()}  # pyright: ignore
        kind, message = str(told.get("type")), str(told.get("message"))
        # Of a program that a signal ended, the message names it already.
        once = message if kind in message.split() else f"{kind}: {message}"
        say(str(told.get("traceback") or once).rstrip(), lines=True)
        if advice := model_advice(told):
            say(f"next: {advice}")
    if isinstance(result, str):
        print(safe(result, lines=True))
    elif result is not None:
        print(safe(repr(result)))


def model_advice(error: Mapping[str, object]) -> str:
    """What to do where a program ended since a model gave no answer; "" where nothing is known."""
    if error.get("errno") != "EMODEL":
        return ""
    from prytany.system.model_trial import NEXT  # late: it knows models

    return NEXT.get(str(error.get("cause")), "")
