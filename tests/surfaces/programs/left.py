"""Programs that end before what they started: a server, and a child that sleeps."""

from __future__ import annotations

import asyncio

from prytany import Process, Server, agent


class Counter(Server):
    pledge = "ipc"
    state: int = 0

    async def on_add(self, n: int) -> int:
        self.state += n
        return self.state


@agent(pledge="")
async def sleeper(proc: Process) -> None:
    await asyncio.sleep(3600)


@agent(pledge="ipc proc")
async def main(proc: Process) -> int:
    counter = await proc.spawn(Counter, restarts=3)
    await proc.spawn(sleeper)
    added: int = await proc.call(counter, "add", n=2)
    return added


@agent(pledge="")
async def alone(proc: Process) -> int:
    return 2
