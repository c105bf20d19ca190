"""A small fleet whose answer depends on everything that reached it, and in which order."""

import asyncio
import random
import time

from prytany import Process, agent


@agent(pledge="model")
async def runner(proc: Process, name: str) -> list[str]:
    first, second = await asyncio.gather(proc.llm(f"{name} left"), proc.llm(f"{name} right"))
    await proc.nop(bytes(64))
    said: list[str] = []
    for done in asyncio.as_completed([proc.llm(f"{name} {turn}") for turn in range(2)]):
        said.append(await done)
    return [first, second, *sorted(said)]


@agent(pledge="proc model files.write")
async def start(proc: Process, output: str) -> dict[str, object]:
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(proc.run(runner, name)) for name in ("ann", "ben")]
    chance, moment = random.random(), time.time_ns()
    await proc.files.write(f"{output}/result.txt", repr([run.result() for run in runs]))
    await asyncio.sleep(0.001)
    # What a replay would get wrong if it drew again, or looked at the clock again.
    assert moment == await proc.run(":same", moment)
    return {"said": [run.result() for run in runs], "chance": 0 <= chance < 1}


@agent()
async def same(proc: Process, moment: int) -> int:
    return moment
