"""Turns: which tool calls are open, and which of them wait for a resource that another has.

Each resource has one queue. A call joins the queues of all its resources in the entry that opens it, and may begin
when it heads them all: joining is in the order of entries, so no two calls can wait for each other, and nobody is
passed. It leaves them when it is closed, or with its process. The order is the journal's, so a recovered kernel has it.
"""

from __future__ import annotations

import msgspec

from prytany.abi import events as ev


class ToolCall(msgspec.Struct, array_like=True):
    """An open call of a tool. `started` is the entry that said that its effect begins, or 0 while it waits."""

    tool: str
    effect: str
    resources: list[bytes]
    started: int = 0
    held: bool = False
    """It waits for a person as well: another home may have made it."""
    paced: bool = False
    """It waits for its agent's bytes a second, and is in no queue meanwhile."""


class Turns(msgspec.Struct):
    """Open tool calls and the queues of their resources.

    Invariant: `due` holds exactly the calls that head all their queues and were not started or held; `queues`
    holds no empty queue, `calls` no process without a call.
    """

    calls: dict[int, dict[int, ToolCall]] = {}
    """Process, then number of the call."""
    queues: dict[bytes, dict[str, None]] = {}
    """Resource to `pid:n` of who has it, then of who waits."""
    due: dict[str, None] = {}

    def get(self, pid: int, n: int) -> ToolCall | None:
        """An open tool call."""
        calls = self.calls.get(pid)
        return calls.get(n) if calls else None

    def free(self, resources: list[bytes]) -> bool:
        """Whether a call that needs these would begin at once."""
        return not any(resource in self.queues for resource in resources)

    def longest(self, resources: list[bytes]) -> int:
        """How many hold or wait for the most wanted of these."""
        return max((len(self.queues.get(resource, ())) for resource in resources), default=0)

    def called(self, seq: int, e: ev.ToolCalled) -> None:
        """Fold an opened call: it joins its queues."""
        self.calls.setdefault(e.pid, {})[e.n] = call = ToolCall(e.tool, e.effect, e.resources)
        self._join(f"{e.pid}:{e.n}", call)

    def paced(self, seq: int, e: ev.CallPaced) -> None:
        """Fold that a call waits for its agent's rate, and keeps nobody waiting for itself; or that it does no more."""
        call, key = self.get(e.pid, e.n), f"{e.pid}:{e.n}"
        if call is None or call.paced == e.waits:
            return
        if e.waits:
            self._leave(key, call)
        call.paced = e.waits
        if not e.waits:
            self._join(key, call)

    def _join(self, key: str, call: ToolCall) -> None:
        for resource in call.resources:
            self.queues.setdefault(resource, {})[key] = None
        if not call.held and self._heads(key, call):
            self.due[key] = None

    def started(self, seq: int, e: ev.ToolStarted) -> None:
        """Fold the beginning of an effect."""
        call = self.get(e.pid, e.n)
        if call is not None:
            call.started = seq
            self.due.pop(f"{e.pid}:{e.n}", None)

    def doubted(self, seq: int, e: ev.CallDoubted) -> None:
        """Fold a doubt: what has not begun here does not begin before a person says so."""
        call = self.get(e.pid, e.n)
        if call is not None and not call.started:
            call.held = True
            self.due.pop(f"{e.pid}:{e.n}", None)

    def settled(self, seq: int, e: ev.CallSettled) -> None:
        """Fold what a person said: it waits for its turn and nothing else."""
        call, key = self.get(e.pid, e.n), f"{e.pid}:{e.n}"
        if call is not None and call.held and not e.later:
            call.held = False
            if not call.paced and self._heads(key, call):
                self.due[key] = None

    def closed(self, seq: int, e: ev.CallClosed) -> None:
        """Fold a result, whatever it is: the call leaves its queues."""
        calls = self.calls.get(e.pid)
        if calls is None:
            return
        call = calls.pop(e.n, None)
        if not calls:
            del self.calls[e.pid]
        if call is not None:
            self._leave(f"{e.pid}:{e.n}", call)

    def ended(self, pid: int) -> None:
        """Fold the end of a process, or of what it ran: all its calls leave."""
        for n, call in self.calls.pop(pid, {}).items():
            self._leave(f"{pid}:{n}", call)

    def _leave(self, key: str, call: ToolCall) -> None:
        if call.paced:
            return
        self.due.pop(key, None)
        for resource in call.resources:
            queue = self.queues[resource]
            del queue[key]
            if not queue:
                del self.queues[resource]
                continue
            head = next(iter(queue))
            pid, n = parse_key(head)
            waiting = self.get(pid, n)
            if waiting is not None and not (waiting.started or waiting.held) and self._heads(head, waiting):
                self.due[head] = None

    def _heads(self, key: str, call: ToolCall) -> bool:
        return all(next(iter(self.queues[resource])) == key for resource in call.resources)


def parse_key(key: str) -> tuple[int, int]:
    """Process and number of the call that a queue names."""
    pid, _, n = key.partition(":")
    return int(pid), int(n)
