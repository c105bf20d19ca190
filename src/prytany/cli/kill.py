"""`kill`: signal processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prytany.abi.errors import Einval, Esrch, KernelError
from prytany.abi.ids import Pid
from prytany.abi.signals import Signal
from prytany.cli.attached import no_process, say_recorded, with_client
from prytany.cli.failure import FAILED, advised, tell
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line
from prytany.client import Client


def signal_of(text: str) -> Signal:
    """The signal that a person named, as `TERM`, `SIGTERM`, `term` or `15`; raises Einval."""
    name = text.strip().upper().removeprefix("SIG")
    for signal in Signal:
        if name in (signal.name, str(signal.value)):
            return signal
    names = ", ".join(signal.name for signal in Signal)
    raise advised(Einval(f"there is no signal {text[:100]!r}"), f"name one of {names}, or its number")


def kill_processes(home: Path, pids: Sequence[str], signal_text: str, as_json: bool = False) -> int:
    """Signal each, and tell the others; 0, or 2 when one of them could not be."""
    signal = signal_of(signal_text)
    given = [named(text) for text in pids]

    async def each(client: Client) -> int:
        failed, targets = 0, await pids_of(client, given)
        for pid in targets:
            failed += await signal_one(client, pid, signal, as_json)
        if failed < len(targets):
            say_recorded(client, as_json)
        return failed

    return FAILED if with_client(home, each) else 0


async def signal_one(client: Client, pid: Pid, signal: Signal, as_json: bool) -> bool:
    """Signal it, or tell why it could not be; whether it could not."""
    try:
        await client.signal(pid, signal)
    except KernelError as error:
        tell(no_process(error, client.home) if isinstance(error, Esrch) else error, as_json, pid=pid)
        return True
    if as_json:
        print(json_line({"pid": pid, "signal": signal.name, "live": client.live}))
    return False
