"""A run with a child that ends when it is asked to, and one that does not."""

from __future__ import annotations

import asyncio

from prytany import Process, agent


@agent(pledge="proc")
async def both(proc: Process) -> str:
    gentle = await proc.spawn(":gentle", name="gentle [bold]\x1b[31mred")
    stubborn = await proc.spawn(":stubborn")
    return f"{(await proc.wait(gentle)).status} {(await proc.wait(stubborn)).status}"


@agent(pledge="")
async def gentle(proc: Process) -> None:
    print("here \x1b[2J")
    try:
        await asyncio.sleep(3600)
    finally:
        print("tidied up")


@agent(pledge="")
async def stubborn(proc: Process) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            print("no")
