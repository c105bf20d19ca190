"""Which process a person means: by its number, or by the name of an agent of which one process is there."""

from __future__ import annotations

from collections.abc import Sequence

from prytany.abi.errors import Einval, Enoent
from prytany.abi.ids import Pid, format_pid, parse_pid
from prytany.cli.attached import command
from prytany.cli.failure import advised
from prytany.client import Client

SHOWN = 20
"""Of the processes and of the agents that could be meant."""


def named(text: str) -> Pid | str:
    """The pid that was written, or the name of an agent; raises Einval for what can be neither."""
    try:
        return parse_pid(text)
    except ValueError:
        if text.strip() and not text[0].isdigit() and text[0] not in "-.":
            return text
    raise advised(
        Einval(f"neither a pid nor an agent: {text[:100]!r}"), "a pid is a number as prytany ps shows it, such as 3"
    )


async def pids_of(client: Client, targets: Sequence[Pid | str]) -> list[Pid]:
    """Each once, in their order. Raises Enoent, Einval where a name means none, or several."""
    pids: dict[Pid, None] = {}
    for target in targets:
        pids[await pid_named(client, target) if isinstance(target, str) else target] = None
    return list(pids)


async def pid_named(client: Client, name: str) -> Pid:
    """The only process of that agent, `AGENT` or `FLEET.AGENT`, that lives; a run's root before what others have
    started. Else the only one that is called so. Raises Enoent, Einval."""
    living = [p for p in await client.ps() if p.state != "terminated"]
    rows = [p for p in living if p.agent]
    of_name = [p for p in rows if name in (p.agent, f"{p.fleet}.{p.agent}")] or [p for p in living if p.name == name]
    found = [p.pid for p in of_name if p.pid == p.run] or [p.pid for p in of_name]
    if len(found) == 1:
        return Pid(found[0])
    if not found:
        there = ", ".join(sorted({p.agent for p in rows})[:SHOWN]) or "none"
        raise advised(
            Enoent(f"no process of an agent {name[:100]!r} runs"),
            f"there are {there}; see what runs with: {command('ps', client.home)};"
            f" begin a session with: {command('chat', client.home)}",
        )
    pids = ", ".join(format_pid(Pid(pid)) for pid in found[:SHOWN])
    raise advised(Einval(f"{len(found)} processes are of the agent {name[:100]!r}"), f"name one of {pids}")
