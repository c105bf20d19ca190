"""Robots that share a corridor: a cell is one robot's at a time, and who meets head-on is told so.

A robot that enters cell by cell holds the one it stands in while it waits for the next, so two that come from both ends
wait for each other for ever. The kernel finds that, and one of them hears EDEADLK: it is lifted out and tries again.
Careful robots take all cells at once or none, and are never in that place.
"""

import asyncio
import random

from prytany import Process, agent
from prytany.abi.errors import Ebusy, Edeadlk

CELLS = 6
STEP_S = 0.01


async def stand(proc: Process, cell: int, name: str) -> None:
    """Be in a cell: nobody else may be there."""
    try:
        version = await proc.shared.write(f"cell/{cell}", name, version=0)
    except Ebusy:
        raise AssertionError(f"{name} ran into somebody in cell {cell}") from None
    await asyncio.sleep(STEP_S)
    await proc.shared.delete(f"cell/{cell}", version=version)


async def by_cells(proc: Process, name: str, cells: list[int]) -> bool:
    """Enter one cell after the other; False for who was lifted out."""
    held = []
    try:
        for cell in cells:
            lock = proc.lock(f"corridor/{cell}")
            await lock.acquire()
            held.append(lock)
            if len(held) > 1:
                await held.pop(0).release()
            await stand(proc, cell, name)
    except Edeadlk:
        return False
    finally:
        for lock in held:
            await lock.release()
    return True


async def at_once(proc: Process, name: str, cells: list[int]) -> bool:
    """Have all of the corridor, or wait outside."""
    async with proc.locks(*(f"corridor/{cell}" for cell in cells)):
        for cell in cells:
            await stand(proc, cell, name)
    return True


@agent(pledge="ipc")
async def robot(proc: Process, trips: int, careful: bool, left: bool) -> dict[str, int]:
    """Go to and fro; how often it arrived, and how often it was lifted out."""
    cross = at_once if careful else by_cells
    cells = list(range(CELLS)) if left else list(reversed(range(CELLS)))
    done = {"arrived": 0, "lifted": 0}
    while done["arrived"] < trips:
        if await cross(proc, proc.name, cells):
            done["arrived"] += 1
            cells.reverse()
        else:
            done["lifted"] += 1
            await asyncio.sleep(random.uniform(0, CELLS * STEP_S))
    return done


@agent(pledge="proc ipc")
async def warehouse(proc: Process, robots: int = 4, trips: int = 3, careful: bool = False) -> str:
    """Let some start at each end."""
    spawning = (proc.spawn("robot", trips, careful, at % 2 == 0, name=f"robot-{at + 1}") for at in range(robots))
    pids = await asyncio.gather(*spawning)
    ended = await asyncio.gather(*(proc.wait(pid) for pid in pids))
    lines = [
        f"robot-{at + 1} arrived {one.result['arrived']} times and was lifted out {one.result['lifted']} times"
        if one.ok
        else f"robot-{at + 1} {one.reason}: {one.error}"
        for at, one in enumerate(ended)
    ]
    return "\n".join(lines)
