"""Names as addresses: who lives that is called so, in a run or in a fleet. A fold of who comes and who goes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec


class Names(msgspec.Struct):
    """By scope (`run:17`, `fleet:3`) and name, the pids of those who live, the oldest first."""

    scopes: dict[str, dict[str, dict[int, None]]] = {}
    whole: bool = False
    """It knows all who live. A state of before there were names has to be read for them first."""
    of: dict[int, list[str]] = {}
    """What each is called."""

    def called(self, pid: int, scopes: Iterable[str], names: Iterable[str]) -> None:
        """A process is called so from here on, beside what it was called."""
        own = self.of.setdefault(pid, [])
        names = [name for name in names if name and name not in own]
        own += names
        for scope in scopes:
            here = self.scopes.setdefault(scope, {})
            for name in names:
                here.setdefault(name, {})[pid] = None

    def no_more(self, pid: int, scopes: Iterable[str], name: str) -> None:
        """A process is not called so any more."""
        if name in self.of.get(pid, ()):
            self.of[pid].remove(name)
            self._remove(pid, scopes, [name])

    def gone(self, pid: int, scopes: Iterable[str]) -> None:
        """A process has ended."""
        self._remove(pid, scopes, self.of.pop(pid, []))

    def _remove(self, pid: int, scopes: Iterable[str], names: list[str]) -> None:
        for scope in scopes:
            here = self.scopes.get(scope)
            if here is None:
                continue
            for name in names:
                pids = here.get(name)
                if pids is not None and pids.pop(pid, 0) is None and not pids:
                    del here[name]
            if not here:
                del self.scopes[scope]

    def pids(self, scope: str, name: str) -> Iterable[int]:
        """Who is called so there, the oldest first."""
        return self.scopes.get(scope, {}).get(name, ())

    def near(self, scopes: Iterable[str], most: int) -> list[str]:
        """Names that there are in these scopes, each once."""
        found: dict[str, None] = {}
        for scope in scopes:
            found.update(dict.fromkeys(islice(self.scopes.get(scope, ()), most)))
        return list(found)
