"""Whether a call may be paid for: decided here, counted in `budgets`.

A call is granted in all of its accounts, or in none. It is not refused for what others may give back: where it would
fit once the calls under way are settled at less than their bounds, it waits for that, behind those that wait already.

    granted     reserve, and begin
    later       it may fit when a call under way is settled, or at a time (a bound a minute)
    breach      it can never fit as the bounds are: its process stops, until somebody adds to the account

Nothing here scans: a verdict costs one look at each account above the call, of which there are at most as many as
generations.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prytany.scheduling.budgets import KINDS, MINUTE_S, NONE, SECOND_NS, UNBOUNDED, Account, Amount, Budgets
from prytany.scheduling.ranked import Ranked

GRANTED = "granted"
LATER = "later"
BREACH = "breach"


class Verdict(NamedTuple):
    """What becomes of a reservation."""

    what: str = GRANTED
    account: str = ""
    """The account that says so."""
    kind: str = ""
    """Of `KINDS`, or `wall_ms`, or `processor_ms`."""
    bound: int = 0
    left: int = 0
    at_ns: int = 0
    """Of `later`: when to ask again at the latest; 0 where only a settlement helps."""
    a_minute: bool = False

    @property
    def reason(self) -> str:
        """What people read where a process stops, or waits."""
        if self.kind == "wall_ms":
            return f"budget: the time of {self.account} is up"
        if self.kind == "processor_ms":
            return f"budget: {self.account} has used its {self.bound / 1000:g} s of processor"
        span = " a minute" if self.a_minute else ""
        if self.kind == "usd_micros":
            return f"budget: {self.account} has {_dollars(self.left)} of {_dollars(self.bound)}{span} left"
        return f"budget: {self.account} has {self.left} of {self.bound} {self.kind}{span} left"


def _dollars(micros: int) -> str:
    """To the last millionth, which is what a budget counts."""
    return "$" + f"{micros // 1_000_000}.{micros % 1_000_000:06d}".rstrip("0").rstrip(".")


FITS = Verdict()


def may_reserve(budgets: Budgets, accounts: Sequence[str], amount: Amount, now_ns: int) -> Verdict:
    """Whether `amount` can be reserved in all of `accounts` now. A breach anywhere goes before a wait elsewhere."""
    waits = FITS
    for name in accounts:
        account = budgets.accounts.get(name)
        if account is None:
            continue
        verdict = _in_account(name, account, amount, now_ns)
        if verdict.what == BREACH:
            return verdict
        if verdict.what == LATER and (waits.what == GRANTED or verdict.at_ns > waits.at_ns):
            waits = verdict
    return waits


def debts(budgets: Budgets, pid: int, n: int, used: Amount) -> list[Verdict]:
    """The accounts that a charge of `used` leaves in debt: all below them stop. Asked before it is folded."""
    held = budgets.held.get(pid, {}).get(n)
    found: list[Verdict] = []
    for name in held.accounts if held is not None else ():
        if (account := budgets.accounts.get(name)) is None:
            continue
        for kind in KINDS:
            bound = account.total.of(kind)
            if bound != NONE and account.spent.of(kind) + used.of(kind) > bound:
                found.append(Verdict(BREACH, name, kind, bound))
                break
    return found


def processor_breach(budgets: Budgets, accounts: Sequence[str], more_us: Mapping[str, int]) -> Verdict | None:
    """The first of `accounts` whose bound of processor time is passed, with `more_us` that is not folded yet."""
    for name in accounts:
        account = budgets.accounts.get(name)
        bound_ms = account.total.processor_ms if account is not None else NONE
        if account is not None and bound_ms != NONE and account.processor_us + more_us.get(name, 0) > bound_ms * 1000:
            return Verdict(BREACH, name, "processor_ms", bound_ms)
    return None


def time_breach(budgets: Budgets, accounts: Sequence[str], now_ns: int) -> Verdict | None:
    """The first of `accounts` whose time is up, or whose bound of processor time is passed: nobody goes on there."""
    for name in accounts:
        account = budgets.accounts.get(name)
        if account is not None and account.ends_ns and now_ns >= account.ends_ns:
            return Verdict(BREACH, name, "wall_ms", account.total.wall_ms)
    return processor_breach(budgets, accounts, {})


def left_permille(budgets: Budgets, accounts: Sequence[str]) -> int:
    """What is left of the tightest bound, in thousandths; 1000 without any. Routes look at it."""
    least = 1_000
    for name in accounts:
        if (account := budgets.accounts.get(name)) is not None:
            for kind in KINDS:
                if (bound := account.total.of(kind)) > 0:
                    least = min(least, 1_000 * account.left(kind) // bound)
    return least


def _in_account(name: str, account: Account, amount: Amount, now_ns: int) -> Verdict:
    if account.ends_ns and now_ns >= account.ends_ns:
        return Verdict(BREACH, name, "wall_ms", account.total.wall_ms)
    if account.total.processor_ms != NONE and account.processor_us > account.total.processor_ms * 1000:
        return Verdict(BREACH, name, "processor_ms", account.total.processor_ms)
    waits, total, had, held = FITS, account.total, account.spent, account.reserved
    for kind, wanted, bound, spent, reserved in (  # by name and not by `of`: this is on the way of every call
        ("tokens", amount.tokens, total.tokens, had.tokens, held.tokens),
        ("usd_micros", amount.usd_micros, total.usd_micros, had.usd_micros, held.usd_micros),
        ("calls", amount.calls, total.calls, had.calls, held.calls),
    ):
        if bound != NONE and wanted:
            if spent + wanted > bound:
                return Verdict(BREACH, name, kind, bound, max(0, bound - spent))
            if spent + reserved + wanted > bound:
                waits = Verdict(LATER, name, kind, bound, account.left(kind), waits.at_ns)
    if account.minute != UNBOUNDED:
        for kind in KINDS:
            wanted, bound = amount.of(kind), account.minute.of(kind)
            if bound != NONE and wanted:
                if wanted > bound:
                    return Verdict(BREACH, name, kind, bound, bound, a_minute=True)
                at_ns = _fits_ns(account, kind, bound - wanted, now_ns)
                if at_ns > max(now_ns, waits.at_ns):
                    left = max(0, bound - account.within_minute(kind, now_ns))
                    waits = Verdict(LATER, name, kind, bound, left, at_ns, a_minute=True)
    return waits


def _fits_ns(account: Account, kind: str, most: int, now_ns: int) -> int:
    """When no more than `most` is within the minute, if nothing else begins."""
    excess = account.within_minute(kind, now_ns) - most
    since = now_ns // SECOND_NS - MINUTE_S
    at_ns = now_ns
    for place in account.recent:
        if excess <= 0:
            break
        if place.second >= since and place.amount.of(kind):
            excess -= place.amount.of(kind)
            at_ns = (place.second + MINUTE_S + 1) * SECOND_NS
    return at_ns


class Parked:
    """Calls that wait for a budget, by the account that has too little; first come, first served in each.

    A call that comes while others wait for an account waits behind them, though it might fit: else a small one would
    pass a large one for ever.
    """

    def __init__(self) -> None:
        self._by_account: dict[str, OrderedDict[int, None]] = {}
        self._account: dict[int, str] = {}
        self._at: Ranked[int] = Ranked()

    def __len__(self) -> int:
        return len(self._account)

    def behind(self, accounts: Sequence[str]) -> str:
        """The first of `accounts` that somebody waits for, or ""."""
        return next((name for name in accounts if name in self._by_account), "")

    def park(self, key: int, account: str, at_ns: int = 0, *, before: bool = False) -> None:
        """Call `key` waits for `account`; it is asked again at `at_ns`, where that is known.

        One that waits for it already keeps its place; with `before`, it waits before all others.
        """
        if self._account.get(key, account) != account:
            self.drop(key)
        self._account[key] = account
        line = self._by_account.setdefault(account, OrderedDict())
        line.setdefault(key)
        if before:
            line.move_to_end(key, last=False)
        if at_ns:
            self._at.put(key, at_ns)
        else:
            self._at.drop(key)

    def account(self, key: int) -> str:
        """Which account a call waits for; "" where it is not parked."""
        return self._account.get(key, "")

    def first(self, account: str) -> int | None:
        """Who is asked again when something of `account` was given back, or added to it; it stays parked."""
        line = self._by_account.get(account)
        return next(iter(line)) if line else None

    def waiting(self, account: str) -> int:
        """How many wait for an account."""
        return len(self._by_account.get(account, ()))

    def due(self, now_ns: int) -> int | None:
        """Who waits for a time that has come."""
        key = self._at.first()
        return key if key is not None and self._at.rank(key) <= now_ns else None

    def when(self) -> int | None:
        """The next such time."""
        key = self._at.first()
        return None if key is None else self._at.rank(key)

    def drop(self, key: int) -> None:
        """It may begin, or is wanted no more."""
        account = self._account.pop(key, None)
        if account is not None:
            self._at.drop(key)
            line = self._by_account[account]
            del line[key]
            if not line:
                del self._by_account[account]
