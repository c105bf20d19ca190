"""`stop`, `pause`, `unpause`, `freeze`: ending processes with time to tidy up, and holding them for a while."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

from prytany.abi.control import Ended
from prytany.abi.errors import Eagain, Einval, Epipe, Esrch, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.signals import Signal
from prytany.cli.attached import no_process, pid_of, say_recorded, with_client
from prytany.cli.failure import FAILED, tell
from prytany.cli.kill import signal_one
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line, processes, safe
from prytany.client import Client

ROUNDS_MAX = 8
"""How many times a run is looked at for processes that it has begun meanwhile."""
GRACE_S_MAX = 86_400.0


def stop_processes(home: Path, pids: Sequence[str], grace_s: float, as_json: bool) -> int:
    """TERM to each, so long a time for all to end, then KILL; what became of each. 0, or 2 when one of them could not
    be signalled."""
    if not math.isfinite(grace_s) or not 0 <= grace_s <= GRACE_S_MAX:
        raise Einval(f"a grace time is from 0 to {GRACE_S_MAX:,.0f} seconds")
    given = [named(text) for text in pids]

    async def stop(client: Client) -> int:
        targets = await pids_of(client, given)
        reached = [pid for pid in targets if await _signal(client, pid, Signal.TERM, as_json)]
        if client.live:
            ends = await _ends(client, reached, grace_s)
            late = [pid for pid in reached if pid not in ends]
            killed = [pid for pid in late if await _signal(client, pid, Signal.KILL, as_json)]
            ends |= await _ends(client, late, None)
            for pid in reached:
                _tell_end(pid, ends.get(pid), grace_s if pid in killed else None, as_json)
        elif reached:
            for pid in reached:
                _tell(pid, "recorded", "TERM is recorded", as_json)
            say_recorded(client, as_json)
        return FAILED if len(reached) < len(targets) else 0

    return with_client(home, stop)


async def _signal(client: Client, pid: Pid, signal: Signal, as_json: bool) -> bool:
    """Whether it could be signalled; it may have ended by itself before KILL comes."""
    try:
        await client.signal(pid, signal)
    except KernelError as error:
        if signal != Signal.KILL or not isinstance(error, Esrch):
            tell(no_process(error, client.home) if isinstance(error, Esrch) else error, as_json, pid=pid)
        return False
    return True


async def _ends(client: Client, pids: Sequence[Pid], timeout_s: float | None) -> dict[Pid, Ended | None]:
    """How those ended that did within that time; None of one whose end its parent took first. Few are asked for at
    once: a connection has few questions under way."""
    few = asyncio.Semaphore(6)
    found: dict[Pid, Ended | None] = {}

    async def one(pid: Pid) -> None:
        async with few:
            try:
                found[pid] = await client.wait(pid)
            except Esrch:
                found[pid] = None
            except (Epipe, Eagain):
                pass  # the kernel stopped: what it recorded goes on with the next one

    if tasks := [asyncio.ensure_future(one(pid)) for pid in pids]:
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def _tell_end(pid: Pid, ended: Ended | None, after_s: float | None, as_json: bool) -> None:
    late = after_s is not None
    how = f"is killed: it had not ended after {after_s:g} s" if late else "has ended"
    facts = {"status": ended.status, "reason": ended.reason} if ended else {}
    why = f": {safe(ended.reason)} (status {ended.status})" if ended and not late else ""
    _tell(pid, "killed" if late else "ended", f"{how}{why}", as_json, **facts)


def _tell(pid: Pid, outcome: str, text: str, as_json: bool, **facts: object) -> None:
    if as_json:
        print(json_line({"pid": pid, "outcome": outcome, **facts}))
    else:
        print(f"process {format_pid(pid)}: {text}" if outcome == "recorded" else f"process {format_pid(pid)} {text}")


def hold(home: Path, pids: Sequence[str], runs: Sequence[str], signal: Signal, as_json: bool) -> int:
    """STOP or CONT to these processes, and to all of these runs; 0, or 2 when one of them could not be signalled."""
    given, roots = [named(text) for text in pids], [pid_of(text) for text in runs]
    if not given and not roots:
        raise Einval("name a process, or a run with --run")

    async def each(client: Client) -> int:
        done: dict[Pid, bool] = {}  # whether it failed
        await _new(client, await pids_of(client, given), done, signal, as_json)
        for root in roots:
            for _ in range(ROUNDS_MAX):
                members = [Pid(p.pid) for p in await client.ps() if p.run == root and not p.ended_ns]
                if not members:
                    tell(no_process(Esrch(f"there is no run {root} that goes on"), home), as_json, pid=root)
                    done[root] = True
                    break
                if not await _new(client, members, done, signal, as_json):
                    break
        if not all(done.values()):
            say_recorded(client, as_json)
        return FAILED if any(done.values()) else 0

    return with_client(home, each)


async def _new(client: Client, pids: Sequence[Pid], done: dict[Pid, bool], signal: Signal, as_json: bool) -> bool:
    """Signal those that were not; whether there were any."""
    new = [pid for pid in dict.fromkeys(pids) if pid not in done]
    for pid in new:
        done[pid] = await signal_one(client, pid, signal, as_json)
    return bool(new)


def freeze(home: Path, thaw: bool, as_json: bool) -> None:
    """Stop everything at once, or let it go on."""

    async def all_of_it(client: Client) -> int:
        count = await client.freeze(thaw=thaw)
        say_recorded(client, as_json)
        return count

    count = with_client(home, all_of_it)
    if as_json:
        print(json_line({"frozen": not thaw, "processes": count}))
    elif thaw:
        print(f"{processes(count)} that stood still {'goes' if count == 1 else 'go'} on")
    else:
        print(
            f"{processes(count)} {'stands' if count == 1 else 'stand'} still;"
            " what was stopped before is not counted, and stays so after: freeze --thaw"
        )
