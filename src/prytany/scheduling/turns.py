"""Turns: which tool calls are open, and which of them wait for a resource that another has.

Each resource has one queue. A call joins the queues of all its resources in the entry that opens it, and may begin
when it heads them all: joining is in the order of entries, so no two calls can wait for each other, and nobody is
passed. It leaves them when it is closed, or with its process. The order is the journal's, so a recovered kernel has it.

A process can *hold* what a tool needs over several calls. A hold waits in the same queues, and stays in them when its
call is closed. What its process asks for of that goes through beneath it, in a queue of its own for each resource, so
that this is not entered twice either. A hold that was let go of leaves when nothing is beneath it any more.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    beneath: list[int] = []
    """The holds of its process through which it goes."""
    wanted: list[bytes] = []
    """Of what waits to hold: the resources, where `resources` are the queues in which it waits for them."""
    place: int = 0
    """When it joined its queues: whoever is behind it has a higher one."""


HOLD = "hold"
"""The effect of what is no call of a tool, and waits to hold what one needs."""


class Hold(msgspec.Struct, array_like=True):
    """What a process holds since its call of some number."""

    tool: str
    queues: dict[bytes, bytes]
    """Each resource, to the queue in which it has that."""
    beneath: list[int]
    """The holds that it goes through itself."""
    inner: int = 0
    """How many calls and holds go through it."""
    left: bool = False
    """It was let go of, and leaves with the last of those."""
    place: int = 0
    """As of a call."""


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
    holds: dict[int, dict[int, Hold]] = {}
    """Process, then number of the call that asked for it."""
    joined: int = 0
    """How many have joined queues so far."""

    def ways(self, pid: int, resources: list[bytes]) -> tuple[list[bytes], list[int]]:
        """Which queues a process joins for these, and through which of its holds it goes: the latest that has one."""
        holds = self.holds.get(pid)
        if not holds:
            return resources, []
        queues: list[bytes] = []
        beneath = dict[int, None]()
        for resource in resources:
            through = next((n for n, hold in reversed(holds.items()) if resource in hold.queues and not hold.left), 0)
            queues.append(b"%d:%d:%b" % (pid, through, resource) if through else resource)
            if through:
                beneath[through] = None
        return queues, list(beneath)

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
        self._enter(e.pid, e.n, e.tool, e.effect, e.resources)

    def hold_asked(self, seq: int, e: ev.ToolHoldAsked) -> None:
        """Fold who waits to hold what a tool needs."""
        self._enter(e.pid, e.n, e.tool, HOLD, e.resources)

    def held(self, seq: int, e: ev.ToolHeld) -> None:
        """Fold that a process holds it, at once or after it waited."""
        if self.get(e.pid, e.n) is None:
            self._enter(e.pid, e.n, e.tool, HOLD, e.resources)
        call = self._no_more(e.pid, e.n)
        assert call is not None
        self.due.pop(f"{e.pid}:{e.n}", None)
        queues = dict(zip(call.wanted, call.resources, strict=True))
        self.holds.setdefault(e.pid, {})[e.n] = Hold(e.tool, queues, call.beneath, place=call.place)

    def let_go(self, seq: int, e: ev.ToolLetGo) -> None:
        """Fold that a hold is not wanted any more."""
        if (hold := self.holds.get(e.pid, {}).get(e.n)) is not None:
            hold.left = True
            self._settle_hold(e.pid, e.n, hold)

    def _enter(self, pid: int, n: int, tool: str, effect: str, resources: list[bytes]) -> None:
        queues, beneath = self.ways(pid, resources)
        call = self.calls.setdefault(pid, {})[n] = ToolCall(tool, effect, queues, beneath=beneath)
        if effect == HOLD:
            call.wanted = resources
        for through in beneath:
            self.holds[pid][through].inner += 1
        self._join(f"{pid}:{n}", call)

    def _rise(self, pid: int, beneath: list[int]) -> None:
        """Something beneath these holds is gone."""
        for through in beneath:
            hold = self.holds[pid][through]
            hold.inner -= 1
            self._settle_hold(pid, through, hold)

    def _settle_hold(self, pid: int, n: int, hold: Hold) -> None:
        if hold.left and not hold.inner:
            del self.holds[pid][n]
            if not self.holds[pid]:
                del self.holds[pid]
            self._leave(f"{pid}:{n}", hold.queues.values())
            self._rise(pid, hold.beneath)

    def paced(self, seq: int, e: ev.CallPaced) -> None:
        """Fold that a call waits for its agent's rate, and keeps nobody waiting for itself; or that it does no more."""
        call, key = self.get(e.pid, e.n), f"{e.pid}:{e.n}"
        if call is None or call.paced == e.waits:
            return
        if e.waits:
            self._leave(key, call.resources)
        call.paced = e.waits
        if not e.waits:
            self._join(key, call)

    def _join(self, key: str, call: ToolCall) -> None:
        if call.resources:
            self.joined = call.place = self.joined + 1
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
        if e.pid in self.calls and (call := self._no_more(e.pid, e.n)) is not None:
            if not call.paced:
                self._leave(f"{e.pid}:{e.n}", call.resources)
            self._rise(e.pid, call.beneath)

    def _no_more(self, pid: int, n: int) -> ToolCall | None:
        calls = self.calls[pid]
        call = calls.pop(n, None)
        if not calls:
            del self.calls[pid]
        return call

    def ended(self, pid: int) -> None:
        """Fold the end of a process, or of what it ran: all its calls leave, and its holds."""
        for n, call in self.calls.pop(pid, {}).items():
            if not call.paced:
                self._leave(f"{pid}:{n}", call.resources)
        for n, hold in self.holds.pop(pid, {}).items():
            self._leave(f"{pid}:{n}", hold.queues.values())

    def _leave(self, key: str, resources: Iterable[bytes]) -> None:
        self.due.pop(key, None)
        for resource in resources:
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
