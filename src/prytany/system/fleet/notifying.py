"""What `notify` of a fleet file may say."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path as File

from prytany.drivers.couriers.command import ENVIRONMENT
from prytany.drivers.couriers.webhook import wrong_address
from prytany.system.fleet.faults import Path
from prytany.system.fleet.form import Key, Notice
from prytany.system.wording import meant, quoted

OWN_HEADERS = frozenset({
    "host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key", "prytany-notice",
})  # fmt: skip
Found = Iterator[tuple[Path, str]]


def notice_faults(notice: Notice, secrets: Collection[str], path: Path) -> Found:
    """What is wrong with a channel, wherever it is looked at."""
    if (notice.command is None) == (notice.webhook is None):
        yield path, "say who is told: `command`, or `webhook`"
    if notice.of == []:
        yield (*path, "of"), "it is empty; leave it out for all kinds"
    if notice.command is not None:
        if not "".join(notice.command[:1]):
            yield (*path, "command"), "it is empty; name a program"
        elif any("\0" in word for word in notice.command):
            yield (*path, "command"), "it holds a zero character"
        for key in ("headers",) if notice.headers else ():
            yield (*path, key), "a command has none; that is for `webhook`"
    if notice.webhook is not None:
        if isinstance(notice.webhook, str) and (wrong := wrong_address(notice.webhook)):
            yield (*path, "webhook"), f"{quoted(notice.webhook)} {wrong}"
        for key in ("env",) if notice.env else ():
            yield (*path, key), "a webhook has none; that is for `command`"
    named: list[tuple[Path, Key]] = [(("headers", name), key) for name, key in notice.headers.items()]
    named += [(("env", name), key) for name, key in notice.env.items()]
    if isinstance(notice.webhook, Key):
        named.append((("webhook",), notice.webhook))
    for where, taken in named:
        if taken.secret not in secrets:
            said = f"there is no secret {quoted(taken.secret)}{meant(taken.secret, secrets)}"
            yield (*path, *where, "secret"), said
    for name in notice.headers:
        if name.lower() in OWN_HEADERS:
            yield (*path, "headers", name), "this header is not yours to set"


def command_faults(notice: Notice, folder: File, path: Path) -> Found:
    """Whether the program of a channel is there."""
    command = notice.command
    if not command or not command[0] or "\0" in command[0]:
        return  # that is a fault of its form
    program = program_of(command, folder)
    if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
        if "/" in command[0] and os.path.isfile(program):
            yield (*path, "command", 0), f"{program} is not executable; chmod +x {shlex.quote(program)}"
            return
        where = f"from {folder}" if "/" in command[0] else f"in {ENVIRONMENT['PATH']}"
        yield (*path, "command", 0), f"there is no program {quoted(command[0])} {where}"


def program_of(command: Sequence[str], folder: File) -> str:
    """The program of a command: a path is from the fleet's folder."""
    return os.path.normpath(folder / command[0]) if "/" in command[0] else command[0]
