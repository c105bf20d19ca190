"""A fleet that uses what there is: children in parallel, conversation, stream, tools of each class, a server that
keeps order, one that fails once, exec, files, timers and signals. What it leaves depends on all of it."""

import asyncio

from prytany import KernelError, Process, Server, agent


class Till(Server):
    """Keeps what it is told, in order."""

    pledge = "ipc model"
    state: dict[str, list[int]] = {}  # noqa: RUF012 each server has its own copy

    async def on_put(self, who: str, amount: int) -> int:
        self.state.setdefault(who, []).append(amount)
        if amount == 2:
            await self.proc.llm(f"till of {who}")
        return sum(self.state[who])

    async def on_close(self) -> dict[str, list[int]]:
        return self.state


class Shaky(Server):
    """Fails at the first attempt, and is restarted."""

    async def on_ask(self, what: str) -> list[object]:
        if self.message.attempt == 1:
            raise ValueError("the first time it fails")
        return [what, self.message.attempt]


@agent(pledge="ipc")
async def seller(proc: Process, till: int, who: str) -> list[int]:
    return [await proc.call(till, "put", who=who, amount=amount) for amount in range(1, 4)]


@agent(pledge="model")
async def talker(proc: Process) -> list[object]:
    talk = proc.conversation(system="Be brief.")
    first = await talk.llm("talk one")
    pieces: list[str] = []
    try:
        pieces += [piece async for piece in await talk.stream("talk two")]
    except KernelError:
        pieces.append("cut short")
    other = await talk.fork()
    await talk.append("user", "talk three")
    last = await talk.llm([])
    return [first, "".join(pieces), last, talk.length, other.length]


@agent(pledge="tools")
async def buyer(proc: Process, tally: str, order: str) -> list[str]:
    said = [await proc.tools.shop.price(tally=tally, order=order), await proc.tools.shop.pay(tally=tally, order=order)]
    try:
        said.append(await proc.tools.shop.ship(tally=tally, order=order))
    except KernelError as error:
        said.append(error.errno)
    return said


@agent()
async def phoenix(proc: Process) -> int:
    age = proc.state or 0
    await proc.sleep(0.001)
    if age < 2:
        await proc.exec(age + 1)
    return age


@agent(pledge="ipc")
async def stubborn(proc: Process, parent: int) -> str:
    try:
        await proc.send(parent, "ready")
        await asyncio.sleep(1_000_000)
    except asyncio.CancelledError:
        await proc.nop(b"tidied")
    return "told to end"


async def ended_by_signal(proc: Process) -> str:
    pid = await proc.spawn(stubborn, proc.pid)
    message = await proc.receive()
    await message.done()
    await proc.kill(pid)
    return str((await proc.wait(pid)).result)


async def served(proc: Process) -> list[object]:
    till, shaky = await proc.spawn(Till), await proc.spawn(Shaky, restarts=2)
    sellers = await asyncio.gather(*(proc.run(seller, till, who) for who in ("ann", "ben")))
    answered = await proc.call(shaky, "ask", what="again")
    kept = await proc.call(till, "close")
    for pid in (till, shaky):
        await proc.kill(pid, 9)
    ends = [(await proc.wait(pid)).signal for pid in (till, shaky)]
    return [sellers, answered, kept, ends]


@agent(pledge="proc ipc model tools files.read files.write")
async def market(proc: Process, output: str, tally: str) -> dict[str, object]:
    work = [served(proc), proc.run(talker), proc.run(phoenix), ended_by_signal(proc)]
    orders = ("o1", "o2")
    *said, first, second = await asyncio.gather(*work, *(proc.run(buyer, tally, order) for order in orders))
    await proc.files.write(f"{output}/market.txt", repr(said))
    same = await proc.files.read(f"{output}/market.txt") == repr(said)
    return {"said": said, "bought": [first, second], "same": same, "files": await proc.files.list(output)}
