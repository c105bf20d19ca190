"""A bank whose transfers never lose a cent, though its agents are killed at random.

What an account did for a message, its new balance and its answer are one entry of the journal. So a transfer that is
begun again, since somebody died in it, asks an account for what it has done already, and is told so: by its number.
"""

import asyncio
import os
import random

import msgspec

from prytany import Process, Server, agent
from prytany.abi.errors import Epipe

OPENING = 100_00
CHANCE = 0.04


class Balance(msgspec.Struct):
    """Of one account, in cents; and by the numbers of transfers, what it answered to them."""

    cents: int
    risky: bool
    seen: dict[str, bool] = {}


def perhaps_die(risky: bool) -> None:
    """Be gone at once, as by kill -9 or a power cut; not each time."""
    if risky and random.random() < CHANCE:
        os._exit(9)


class Account(Server):
    pledge = "ipc"
    state: Balance

    def init(self, proc: Process, risky: bool) -> Balance:
        return Balance(OPENING, risky)

    async def on_move(self, transfer: str, cents: int) -> bool:
        """Add cents, or take some; False where there are not so many."""
        perhaps_die(self.state.risky)
        if transfer not in self.state.seen:
            enough = self.state.cents + cents >= 0
            self.state.cents += cents if enough else 0
            self.state.seen[transfer] = enough
        perhaps_die(self.state.risky)
        return self.state.seen[transfer]

    async def on_balance(self) -> int:
        return self.state.cents


class Teller(Server):
    pledge = "ipc"
    state: bool

    def init(self, proc: Process, risky: bool) -> bool:
        return risky

    async def on_transfer(self, number: int, source: int, target: int, cents: int) -> bool:
        """Move cents from one account to another, if it has so many."""
        if not await self._move(source, f"{number} out", -cents):
            return False
        perhaps_die(self.state)
        await self._move(target, f"{number} in", cents)
        perhaps_die(self.state)
        return True

    async def _move(self, account: int, transfer: str, cents: int) -> bool:
        while True:
            try:
                return bool(await self.proc.call(account, "move", transfer=transfer, cents=cents))
            except Epipe:  # it died at this message again and again; it is there again, and knows what it did
                continue


@agent(pledge="proc ipc")
async def bank(proc: Process, accounts: int = 8, tellers: int = 4, transfers: int = 100, risky: bool = True) -> str:
    """Move money about, and add it up."""
    await proc.supervise("one_for_one", intensity=1_000, period_s=60)
    books = [await proc.spawn("account", risky, name=f"account-{at}", restart="permanent") for at in range(accounts)]
    desks = [await proc.spawn("teller", risky, name=f"teller-{at}", restart="permanent") for at in range(tellers)]
    orders = list(enumerate((random.sample(books, 2), random.randint(1, OPENING // 2)) for _ in range(transfers)))

    async def work(desk: int) -> int:
        refused = 0
        while orders:
            number, ((source, target), cents) = orders.pop()
            refused += not await order(desk, number, source, target, cents)
        return refused

    async def order(desk: int, number: int, source: int, target: int, cents: int) -> bool:
        while True:
            try:
                said = await proc.call(desk, "transfer", number=number, source=source, target=target, cents=cents)
                return bool(said)
            except Epipe:
                continue

    refused = sum(await asyncio.gather(*map(work, desks)))
    balances = await asyncio.gather(*(proc.call(book, "balance") for book in books))
    total = sum(balances)
    assert total == accounts * OPENING, f"{total} cents are there, and {accounts * OPENING} were paid in"
    return f"{transfers - refused} of {transfers} transfers were made, and {total / 100:.2f} are there as before"
