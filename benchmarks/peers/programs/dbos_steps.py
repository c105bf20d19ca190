"""Durable steps a second of DBOS on SQLite: workflows of steps that do nothing, from threads and from tasks."""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS

ARGUMENT = "x" * 64
_system_database = f"sqlite:///{sys.argv[1]}/dbos.sqlite"
DBOS(config={"name": "bench", "system_database_url": _system_database, "run_admin_server": False})


@DBOS.step()
def step(data: str) -> None:
    return


@DBOS.step()
async def step_async(data: str) -> None:
    return


@DBOS.workflow()
def flow(steps: int) -> None:
    for _ in range(steps):
        step(ARGUMENT)


@DBOS.workflow()
async def flow_async(steps: int) -> None:
    for _ in range(steps):
        await step_async(ARGUMENT)


def threads(count: int, steps: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(flow, [steps] * count))
    return count * steps / (time.perf_counter() - began)


async def tasks(count: int, steps: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(flow_async(steps) for _ in range(count)))
    return count * steps / (time.perf_counter() - began)


async def both() -> dict[str, float]:
    return {"one task": await tasks(1, 200), "64 tasks": await tasks(64, 8)}


def main() -> None:
    DBOS.launch()
    flow(5)
    figures = {"one thread": threads(1, 300), "8 threads": threads(8, 50), **asyncio.run(both())}
    DBOS.destroy()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
