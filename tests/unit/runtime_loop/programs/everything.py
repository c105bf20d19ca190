"""A program of all that asyncio keeps in sets, queues and timers. `proc` is the worker's loop."""

# ruff: noqa: ASYNC110
# A program draws on the standard library as it pleases: that is what is under test.
import asyncio
import random
import time
import uuid


async def step(proc, i):
    first = await proc.call("one", (i,))
    return await proc.call("two", (i, first))


async def failing(proc, i):
    await step(proc, i)
    await proc.call("fail", ("EIO",))


async def main(proc):
    for ended in asyncio.as_completed([step(proc, i) for i in range(8)]):
        await proc.call("done", (await ended,))
    tasks = [asyncio.ensure_future(step(proc, i)) for i in range(20, 40)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        await proc.call("pending", (await task,))
    for task in done | pending:
        await proc.call("either", (await task,))
    gathers = [asyncio.gather(step(proc, i), step(proc, i + 1)) for i in range(0, 12, 2)]
    for gathered in (await asyncio.wait(gathers))[0]:
        await proc.call("gathered", (gathered.result(),))
    try:
        await asyncio.wait_for(proc.call("never"), timeout=1.0)
    except TimeoutError:
        await proc.call("timed_out")
    try:
        async with asyncio.timeout(0.05):
            await asyncio.gather(*[step(proc, i) for i in range(3)])
    except TimeoutError:
        await proc.call("timed_out")
    for attempt in range(4):
        try:
            await asyncio.wait_for(step(proc, attempt), timeout=0.02)
        except TimeoutError:
            await proc.call("timed_out", (attempt,))
    try:
        async with asyncio.TaskGroup() as group:
            for i in range(40, 46):
                group.create_task(step(proc, i))
            group.create_task(failing(proc, 46))
    except* OSError:
        pass
    except* Exception as errors:
        await proc.call("group", (len(errors.exceptions), str(errors.exceptions[0])))
    queue, semaphore, condition = asyncio.Queue(2), asyncio.Semaphore(2), asyncio.Condition()

    async def producer(i):
        async with semaphore:
            await queue.put(await step(proc, i))
        async with condition:
            condition.notify_all()

    producers = [asyncio.create_task(producer(i)) for i in range(60, 66)]
    for _ in producers:
        await proc.call("taken", (await queue.get(),))
    await asyncio.gather(*producers)
    dropped = asyncio.ensure_future(asyncio.wait([proc.call("never"), proc.call("one", (1,))]))
    await asyncio.sleep(0)
    dropped.cancel()
    lost = asyncio.create_task(step(proc, 70))
    await asyncio.sleep(0)
    lost.cancel()
    await proc.call("lost", ([type(r).__name__ for r in await asyncio.gather(dropped, lost, return_exceptions=True)],))
    async for piece in proc.stream("tokens", (5,)):
        await proc.call("piece", (piece,))
    stream = proc.stream("tokens", (50,))
    async for _ in stream:
        break
    await stream.aclose()
    proc.on_signal(10, lambda: caught.append(proc.call("caught", (time.time_ns(),))))
    caught = []
    await proc.call("raise_signal", (10,))
    while not caught:
        await asyncio.sleep(0.01)
    await caught[0]
    await asyncio.sleep(2)
    for task in asyncio.all_tasks():
        await proc.call("alive", (task.get_name(),))
    names = {f"name {i}" for i in range(20)}
    await proc.call("names", (list(names),))
    background = [asyncio.create_task(step(proc, i)) for i in range(80, 90)]
    await proc.call("random", (random.random(), str(uuid.uuid4()), str(uuid.uuid1()), time.time(), time.monotonic()))
    return len(background)
