"""Runs a program that is given as data: `[op, ...children]`, or a number, which is two calls."""

# A program draws on the standard library as it pleases: that is what is under test.
import asyncio


async def leaf(proc, i):
    return await proc.call("two", (i, await proc.call("one", (i,))))


async def go(proc, tree):
    if isinstance(tree, int):
        return await leaf(proc, tree)
    op, *children = tree
    jobs = [go(proc, child) for child in children]
    if op == "sequence":
        return [await job for job in jobs]
    if op == "gather":
        return await asyncio.gather(*jobs, return_exceptions=False)
    if op == "completed":
        return [await job for job in asyncio.as_completed(jobs)]
    if op == "group":
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
        return [task.result() for task in tasks]
    if op == "first":
        done, pending = await asyncio.wait([asyncio.ensure_future(j) for j in jobs], return_when="FIRST_COMPLETED")
        for task in pending:
            task.cancel()
        await proc.call("first", (len(done), len(pending)))
        return [str(r) for r in await asyncio.gather(*done, *pending, return_exceptions=True)]
    if op == "hurried":
        try:
            return await asyncio.wait_for(asyncio.gather(*jobs), 0.03)
        except TimeoutError:
            return await proc.call("late", (asyncio.get_running_loop().time(),))
    if op == "slept":
        await asyncio.sleep(0.01)
        return [piece async for piece in proc.stream("tokens", (2,))] + [await job for job in jobs]
    raise ValueError(op)


async def main(proc, tree):
    return str(await go(proc, tree))
