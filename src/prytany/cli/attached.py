"""What the commands that look at and steer a home have in common."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from prytany.abi.errors import Eagain, Einval, Enoent, Epipe, Esrch, KernelError
from prytany.abi.ids import Pid, parse_pid
from prytany.cli.failure import advised, wants_json
from prytany.cli.text import note, safe
from prytany.client import Client, attach
from prytany.client.holder import Holder
from prytany.system.fleet.target import fleet_path

T = TypeVar("T")
HOME = ".prytany"


def with_client(home: Path, action: Callable[[Client], Awaitable[T]]) -> T:
    """Run `action` with a client of the home."""

    async def session() -> T:
        try:
            client = await reach(home)
        except Enoent as error:
            raise no_home(error, home) from None
        try:
            return await action(client)
        except KernelError as error:
            raise _known(error, home, live=client.live) from None
        finally:
            await client.close()

    return asyncio.run(session())


async def reach(home: Path) -> Client:
    """A client of the home, which says where a kernel gives no answer. Raises as `attach`."""
    client = await attach(home)
    client.on_silence = lambda holder: note(silence(holder), wants_json(sys.argv[1:]))
    return client


def silence(holder: Holder) -> str:
    """What to say of a kernel that gives no answer."""
    who = f"the kernel (process {holder.os_pid} of the operating system)" if holder.os_pid else "the kernel"
    if holder.stopped:
        return f"{who} is stopped, and does not answer; let it go on with: kill -CONT {holder.os_pid}"
    may = f"; where it was stopped, let it go on with: kill -CONT {holder.os_pid}" if holder.os_pid else ""
    return f"{who} does not answer yet{may}"


def no_home(error: KernelError, home: Path) -> KernelError:
    """`error`, with what to do where there is no home, or nothing in it."""
    within, folder = home / HOME, home.parent
    if os.path.isdir(within):
        return advised(error, f"the home in there is {within}: name that one, with --home {shlex.quote(str(within))}")
    if home.name == HOME and fleet_path(folder) is not None:
        target = "" if folder == Path.cwd() else f" {shlex.quote(str(folder))}"
        up, run = command(f"up{target}", home), command(f"run{target}", home)
        return advised(error, f"nothing was run here yet; begin with: {up}, or: {run}")
    return advised(error, "name another home with --home, or begin one with: prytany run FILE.py:FUNCTION")


def no_process(error: KernelError, home: Path) -> KernelError:
    """`error`, with what to do where there is no such process."""
    return advised(error, f"see which there are with: {command('ps', home)}")


def _known(error: KernelError, home: Path, *, live: bool) -> KernelError:
    match error:
        case Eagain() if not live:
            return advised(error, f"go on with: {command('resume', home)}, or with prytany up")
        case Esrch():
            return no_process(error, home)
        case Epipe():
            return advised(error, f"go on with: {command('resume', home)}")
        case _:
            return error


def pid_of(text: str) -> Pid:
    """The pid that a person wrote; raises Einval."""
    try:
        return parse_pid(text)
    except ValueError:
        raise advised(
            Einval(f"not a pid: {text[:100]!r}"), "a pid is a number as prytany ps shows it, such as 3"
        ) from None


def command(line: str, home: Path) -> str:
    """A command that can be copied from the terminal, for this home."""
    return safe(f"prytany {line} --home {shlex.quote(str(home))}")


def say_recorded(client: Client, as_json: bool) -> None:
    """Say that what was commanded waits, where nothing runs."""
    if not client.live:
        note(f"nothing runs here: it is recorded; go on with: {command('resume', client.home)}", as_json)


def duration(ns: int) -> str:
    """A length of time, for people."""
    seconds = max(ns, 0) / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
