"""A trading floor: an event wakes everybody whom it concerns at once, and each handles it by itself."""

import asyncio
import random

import msgspec

from prytany import Process, Server, agent, on

SYMBOLS = ("OAK", "ELM", "ASH")
STAKE_MAX = 600_000


class Position(msgspec.Struct):
    """What a trader holds, by symbol, and what each cost last."""

    pieces: dict[str, int] = {}
    prices: dict[str, int] = {}
    halted: bool = False


class Trader(Server):
    pledge = "ipc model"
    state: Position = Position()

    @on("prices.*")
    async def moved(self, topic: str, cents: int) -> None:
        """A price has changed."""
        symbol = topic.removeprefix("prices.")
        moved = cents - self.state.prices.get(symbol, cents)
        self.state.prices[symbol] = cents
        advice = await self.proc.llm(f"{symbol} is at {cents} and moved {moved}. Answer buy, sell or hold.")
        held = self.state.pieces.get(symbol, 0)
        pieces = 10 if "buy" in advice else -held if "sell" in advice else 0
        if pieces and not self.state.halted:
            self.state.pieces[symbol] = held + pieces
            await self.proc.publish(f"orders.{symbol}", trader=self.proc.name, pieces=pieces, cents=cents)

    @on("halt")
    async def halt(self) -> None:
        """Nobody orders any more."""
        self.state.halted = True

    async def on_ready(self) -> None:
        """All messages before this one are done."""


class Watch(msgspec.Struct):
    """What is at stake, in cents, by symbol: pieces and the last price."""

    pieces: dict[str, int] = {}
    prices: dict[str, int] = {}
    halted: bool = False

    def stake(self) -> int:
        return sum(count * self.prices.get(symbol, 0) for symbol, count in self.pieces.items())


class Risk(Server):
    pledge = "ipc"
    state: Watch = Watch()

    @on("prices.*")
    async def price(self, topic: str, cents: int) -> None:
        self.state.prices[topic.removeprefix("prices.")] = cents
        await self._look()

    @on("orders.*")
    async def order(self, topic: str, pieces: int) -> None:
        symbol = topic.removeprefix("orders.")
        self.state.pieces[symbol] = self.state.pieces.get(symbol, 0) + pieces
        await self._look()

    async def on_ready(self) -> None:
        """All messages before this one are done."""

    async def on_stake(self) -> int:
        return self.state.stake()

    async def _look(self) -> None:
        if self.state.stake() > STAKE_MAX and not self.state.halted:
            self.state.halted = True
            await self.proc.publish("halt", stake=self.state.stake())


@agent(pledge="proc ipc")
async def exchange(proc: Process, traders: int = 4, ticks: int = 12) -> str:
    """Publish prices until the day is over or trading is halted; what happened."""
    await proc.subscribe("orders.*")
    await proc.subscribe("halt")
    risk = await proc.spawn("risk", name="risk")
    pids = await asyncio.gather(*(proc.spawn("trader", name=f"trader-{at + 1}") for at in range(traders)))
    everybody = (*pids, risk)
    for pid in everybody:
        await proc.call(pid, "ready")  # from here on it is subscribed
    prices = dict.fromkeys(SYMBOLS, 100_00)
    lines: list[str] = []

    async def book() -> None:
        async for message in proc.messages():
            if message.topic == "halt":
                lines.append(f"trading was halted: {message.body['stake'] / 100:.2f} at stake")
            else:
                symbol = message.topic.removeprefix("orders.")
                order = message.body
                lines.append(f"{order['trader']} {order['pieces']:+d} {symbol} at {order['cents'] / 100:.2f}")

    keeping = asyncio.create_task(book())
    for _ in range(ticks):
        symbol = random.choice(SYMBOLS)
        prices[symbol] += random.randint(-300, 300)
        await proc.publish(f"prices.{symbol}", cents=prices[symbol])
        await asyncio.sleep(0.05)
    for pid in everybody:
        await proc.call(pid, "ready")  # it has seen to all that came before
    stake = await proc.call(risk, "stake")
    keeping.cancel()
    for pid in everybody:
        await proc.kill(pid)
        await proc.wait(pid)
    return "\n".join([*lines, f"at the end of the day {stake / 100:.2f} are at stake"])
