"""`kill`: signal processes."""

from __future__ import annotations

import sys
from pathlib import Path

from prytany.abi.errors import Einval, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.signals import Signal
from prytany.cli.attached import pid_of, say_recorded, with_client
from prytany.cli.text import safe
from prytany.client import Client


def signal_of(text: str) -> Signal:
    """The signal that a person named, as `TERM`, `SIGTERM`, `term` or `15`; raises Einval."""
    name = text.strip().upper().removeprefix("SIG")
    for signal in Signal:
        if name in (signal.name, str(signal.value)):
            return signal
    raise Einval(f"there is no signal {text!r}; there are {', '.join(s.name for s in Signal)}")


def kill_processes(home: Path, pids: list[str], signal_text: str) -> int:
    """Signal each; 0, or 2 when one of them could not be."""
    signal = signal_of(signal_text)
    targets = [pid_of(text) for text in pids]

    async def each(client: Client) -> int:
        failed = 0
        for pid in targets:
            failed += await _kill(client, pid, signal)
        if failed < len(targets):
            say_recorded(client)
        return failed

    return 2 if with_client(home, each) else 0


async def _kill(client: Client, pid: Pid, signal: Signal) -> bool:
    try:
        await client.signal(pid, signal)
    except KernelError as error:
        print(f"prytany: process {format_pid(pid)}: {safe(str(error))}", file=sys.stderr)
        return True
    return False
