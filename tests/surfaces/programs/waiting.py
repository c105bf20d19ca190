"""Agents that wait: for a child, and for an hour."""

from __future__ import annotations

import asyncio

from prytany import Process, agent


@agent(pledge="proc")
async def parent(proc: Process) -> str:
    end = await proc.wait(await proc.spawn(":sleeper", name="sleeper \x1b[31mred"))
    return f"the child ended with {end.status}"


@agent(pledge="")
async def sleeper(proc: Process) -> str:
    try:
        await asyncio.sleep(3600)
    finally:
        print("tidied up")
    return "slept"
