"""The variables that each fleet's secrets are taken from: the kernel's own, and those that came with the fleet's `up`.

Each fleet has its own: two shells may mean different things by one name, and what one fleet is sent is no business of
where another one sends things. A kernel that comes back has one environment, its own. What a variable held for each
fleet is known by a mark of it in the journal; where fleets had different values of one, who had another than is there
now gets none, until it is brought again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping

MARK_BYTES = 4
"""Enough to tell two values apart, and too few to find one by."""


def marks_of(names: Iterable[str], environment: Mapping[str, str], digest: Callable[[bytes], bytes]) -> dict[str, str]:
    """What tells the values of these variables from others; `digest` is a keyed one."""
    there = {name: environment[name] for name in sorted(names) if name in environment}
    return {
        name: digest(b"variable\0" + value.encode("utf-8", "surrogateescape"))[:MARK_BYTES].hex()
        for name, value in there.items()
    }


class Variables:
    """By the fleets' numbers. A kernel has one of these."""

    def __init__(self, own: Mapping[str, str] = os.environ) -> None:
        """`own` is the kernel's environment."""
        self._own = own
        self._given: dict[int, dict[str, str]] = {}
        self._withheld: dict[int, frozenset[str]] = {}

    def of(self, number: int, more: Mapping[str, str] = {}) -> dict[str, str]:
        """Those of a fleet, 0 for one that is not there yet; with `more`, which come before them."""
        withheld = self._withheld.get(number, frozenset())
        own = {name: value for name, value in self._own.items() if name not in withheld}
        return {**own, **self._given.get(number, {}), **more}

    def give(self, number: int, more: Mapping[str, str]) -> None:
        """These are the fleet's from now on, with those that it had."""
        self._given[number] = {**self._given.get(number, {}), **more}

    def withhold(self, marks: Mapping[int, Mapping[str, str]], digest: Callable[[bytes], bytes]) -> None:
        """Keep the kernel's own from fleets that had another value, where one name meant several things.

        Args:
            marks: of each fleet's variables when it was brought.
            digest: the one that they were made with.
        """
        meant: dict[str, set[str]] = {}
        for had in marks.values():
            for name, mark in had.items():
                meant.setdefault(name, set()).add(mark)
        shared = {name for name, found in meant.items() if len(found) > 1}
        now = marks_of(shared, self._own, digest)
        for number, had in marks.items():
            if names := frozenset(name for name in shared & had.keys() if now.get(name) != had[name]):
                self._withheld[number] = names

    def forget_all_but(self, fleets: Container[int]) -> None:
        """Those of other fleets than these are nobody's any more."""
        self._given = {number: given for number, given in self._given.items() if number in fleets}
        self._withheld = {number: names for number, names in self._withheld.items() if number in fleets}
