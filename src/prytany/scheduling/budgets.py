"""Budgets: what a process, a tree, a run or a tenant may take, and what it has; folded from the journal.

    granted ─▶ reserved ─▶ charged          an upper bound is set aside before the call, in every account above it
                   └─────▶ released         and given back for what it took

Accounts are named by whom they belong to (`process:12`, `tree:12`, `run:3`, `tenant:0`); which of them a call stands
below is decided when it is made, and stands in its reservation, so that no fold looks at a family tree. `spending`
decides; here it is counted.

Invariants: `reserved` is the sum of what is held; `spent + reserved` is at most what was granted, but for debts: what
an endpoint takes beyond a reservation is counted in full, and nothing is reserved until that is made good. Money is
whole millionths of a dollar.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from prytany.abi.budgets import KINDS, NONE, UNBOUNDED, Bounds

__all__ = ["KINDS", "NONE", "UNBOUNDED", "Account", "Amount", "Bounds", "Budgets", "Held", "Second", "add"]

MINUTE_S = 60
SECOND_NS = 1_000_000_000
LAST_NS = (1 << 63) - 1


class Amount(msgspec.Struct, array_like=True, frozen=True):
    """What a call takes, or may take."""

    tokens: int = 0
    usd_micros: int = 0
    calls: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.usd_micros + other.usd_micros, self.calls + other.calls)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.usd_micros - other.usd_micros, self.calls - other.calls)

    def of(self, kind: str) -> int:
        """Of one of `KINDS`."""
        value: int = getattr(self, kind)
        return value


NOTHING = Amount()


class Second(msgspec.Struct, array_like=True):
    """What was reserved, or since charged, of what began within one second."""

    second: int
    amount: Amount


class Account(msgspec.Struct, array_like=True):
    """One budget. `recent` holds the seconds of the last minute, oldest first, where there is a bound a minute."""

    total: Bounds
    minute: Bounds = UNBOUNDED
    opened_ns: int = 0
    spent: Amount = NOTHING
    reserved: Amount = NOTHING
    recent: list[Second] = []
    processor_us: int = 0

    @property
    def ends_ns(self) -> int:
        """When its time is up; 0 for never. What lies beyond all times that can be told is the last of them."""
        wall_ms = self.total.wall_ms
        return min(self.opened_ns + wall_ms * 1_000_000, LAST_NS) if wall_ms != NONE else 0

    def left(self, kind: str) -> int:
        """What may still be reserved; `NONE` without a bound. Never negative: a debt is shown by `debt`."""
        bound = self.total.of(kind)
        return NONE if bound == NONE else max(0, bound - self.spent.of(kind) - self.reserved.of(kind))

    def debt(self, kind: str) -> int:
        """What was taken beyond the bound."""
        bound = self.total.of(kind)
        return 0 if bound == NONE else max(0, self.spent.of(kind) - bound)

    def within_minute(self, kind: str, now_ns: int) -> int:
        """What was taken, or is set aside, within the last minute, counted in whole seconds."""
        since = now_ns // SECOND_NS - MINUTE_S
        return sum(s.amount.of(kind) for s in self.recent if s.second >= since)


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A reservation, and in which accounts."""

    accounts: list[str]
    amount: Amount
    second: int


class Budgets(msgspec.Struct):
    """The accounts of a shard. Folds only."""

    accounts: dict[str, Account] = {}
    held: dict[int, dict[int, Held]] = {}
    """By process and number of the call; one attempt is under way at a time."""
    laid_by: dict[str, dict[str, Account]] = {}
    """Accounts of processes that became other agents: by name, then by the agent whose they are."""

    def get(self, name: str) -> Account | None:
        """An account."""
        return self.accounts.get(name)

    def granted(self, name: str, total: Bounds, minute: Bounds, now_ns: int) -> None:
        """Fold a grant: of a new account, or new bounds for one that goes on with what it spent."""
        account = self.accounts.get(name)
        if account is None:
            self.accounts[name] = Account(total, minute, now_ns)
        else:
            account.total, account.minute = total, minute

    def added(self, name: str, more: Bounds) -> None:
        """Fold an addition: to each bound that there is, what `more` says of it."""
        account = self.accounts.get(name)
        if account is not None:
            account.total = add(account.total, more)

    def reserved(self, pid: int, n: int, accounts: Sequence[str], amount: Amount, now_ns: int) -> None:
        """Fold a reservation: in all of the accounts. An earlier one of the same call is given back."""
        calls = self.held.get(pid)
        if calls is None:
            calls = self.held[pid] = {}
        elif n in calls:
            self.charged(pid, n, NOTHING)
            calls = self.held.setdefault(pid, {})
        second = now_ns // SECOND_NS
        calls[n] = Held(list(accounts), amount, second)
        for name in accounts:
            if (account := self.accounts.get(name)) is not None:
                account.reserved += amount
                if account.minute != UNBOUNDED:
                    _note(account, second, amount)

    def charged(self, pid: int, n: int, used: Amount) -> None:
        """Fold what an attempt took: it replaces its reservation. One without is nobody's: it had no budget."""
        held = self._take(pid, n)
        if held is None:
            return
        for name in held.accounts:
            if (account := self.accounts.get(name)) is not None:
                account.reserved -= held.amount
                account.spent += used
                if account.recent:
                    _correct(account, held.second, used - held.amount)

    def processed(self, accounts: Sequence[str], processor_us: int) -> None:
        """Fold what workers took of the processor."""
        for name in accounts:
            if (account := self.accounts.get(name)) is not None:
                account.processor_us += processor_us

    def released(self, pid: int, n: int) -> None:
        """Fold the end of a call that took nothing."""
        if n in self.held.get(pid, ()):
            self.charged(pid, n, NOTHING)

    def ended(self, pid: int) -> None:
        """Fold the end of a process: whatever it still held was not taken."""
        for n in list(self.held.get(pid, ())):
            self.released(pid, n)

    def swapped(self, name: str, by: str, agent: str) -> None:
        """Fold that the owner of an account became another agent: what bounds the one does not bound the other, and
        who becomes again what it was goes on with what that had spent."""
        account = self.accounts.pop(name, None)
        if account is not None:
            self.laid_by.setdefault(name, {})[by] = account
        laid_by = self.laid_by.get(name)
        if laid_by is not None and (back := laid_by.pop(agent, None)) is not None:
            self.accounts[name] = back
            if not laid_by:
                del self.laid_by[name]

    def closed(self, name: str) -> None:
        """Fold the end of an account's owner. What is held below it stays held in the accounts above."""
        self.accounts.pop(name, None)
        self.laid_by.pop(name, None)

    def _take(self, pid: int, n: int) -> Held | None:
        calls = self.held.get(pid)
        held = calls.pop(n, None) if calls is not None else None
        if calls is not None and not calls:
            del self.held[pid]
        return held


def add(bounds: Bounds, more: Bounds) -> Bounds:
    """`bounds`, raised by `more`; what was not bounded stays so."""
    pairs = zip(msgspec.structs.astuple(bounds), msgspec.structs.astuple(more), strict=True)
    return Bounds(*(NONE if have == NONE else have + max(0, extra) for have, extra in pairs))


def _note(account: Account, second: int, amount: Amount) -> None:
    recent = account.recent
    while recent and recent[0].second < second - MINUTE_S:
        del recent[0]
    if recent and recent[-1].second >= second:  # time does not go back
        recent[-1].amount += amount
    else:
        recent.append(Second(second, amount))


def _correct(account: Account, second: int, more: Amount) -> None:
    for place in reversed(account.recent):
        if place.second <= second:
            if place.second == second:
                place.amount += more
            return
