"""The calls that wait, in one line an agent; and the oldest of all."""

from __future__ import annotations

from prytany.scheduling.call import Call
from prytany.scheduling.ranked import Ranked


class Lines:
    """First come, first served within a line. Invariant: there is no empty line."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._lines: dict[int, Ranked[int]] = {}
        self._oldest: Ranked[int] = Ranked()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> bool:
        """Take a call in; True where its agent had none waiting."""
        self._calls[call.key] = call
        self._oldest.put(call.key, call.key)
        line = self._lines.get(call.agent)
        new = line is None
        if line is None:
            line = self._lines[call.agent] = Ranked()
        line.put(call.key, call.key)
        return new

    def remove(self, call: Call) -> bool:
        """Let a call go; True where its agent has none waiting any more. Nothing where it was not there."""
        if self._calls.pop(call.key, None) is None:
            return False
        self._oldest.drop(call.key)
        line = self._lines[call.agent]
        line.drop(call.key)
        if line:
            return False
        del self._lines[call.agent]
        return True

    def first(self, agent: int) -> Call:
        """The oldest call of an agent that has one."""
        key = self._lines[agent].first()
        assert key is not None
        return self._calls[key]

    def oldest(self) -> Call | None:
        """The oldest of all."""
        key = self._oldest.first()
        return None if key is None else self._calls[key]
