"""Three agents that talk: a root, a clerk and a store. They choose what they receive, and call each other by name."""

import asyncio

from prytany import Process, Server, agent

ORDERS = 4


class Store(Server):
    """Keeps what it is told, and fails once at one of them."""

    pledge = "ipc"
    state: list[str] = []  # noqa: RUF012 each process has its own

    async def on_keep(self, what: str) -> int:
        if what == "order 2" and self.message.attempt == 1:
            raise ValueError("once")
        self.state.append(what)
        await self.proc.send("root", "told", what=what)
        return len(self.state)

    async def on_all(self) -> list[str]:
        return self.state


@agent(pledge="ipc")
async def clerk(proc: Process) -> None:
    """Hands orders on, and closes when it is told to, which it waits for all the time."""
    closing = asyncio.ensure_future(proc.receive(type="close", fields={"now": True}))
    for _ in range(ORDERS):
        order = await proc.receive(type="order")
        await proc.call("store", "keep", wait=True, what=order.body["what"])
        await order.done("kept")
    await (await closing).done("closed")


@agent(pledge="ipc proc")
async def root(proc: Process) -> dict[str, object]:
    store = await proc.spawn(Store, name="store", restarts=5)
    pid = await proc.spawn(clerk, name="clerk")
    await proc.send("clerk", "close", wait=True, now=False)
    closing = asyncio.ensure_future(proc.call(pid, "close", wait=True, now=True))
    for n in range(ORDERS):
        await proc.send("clerk", "order", wait=True, what=f"order {n}")
    told = 0
    for _ in range(ORDERS):
        await (await proc.receive(type="told")).done()
        told += 1
    stored = await proc.call(store, "all")
    late = await closing
    await proc.wait(pid)
    await proc.kill(store, 9)
    await proc.wait(store)
    return {"stored": stored, "told": told, "late": late}
