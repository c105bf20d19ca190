"""The flows of all fleets: where each call waits or is under way, and which of them is due. O(log n) a call."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from prytany.scheduling.flow import Flow
from prytany.scheduling.ranked import Ranked
from prytany.scheduling.sharing import Call, Wanted

KEPT_MIN = 64
"""Flows that are kept before those are looked for that nobody needs."""


class Rated(NamedTuple):
    """Whose call it is, with the rates that hold; bytes a second, 0 for none."""

    fleet: Hashable
    agent: Hashable
    fleet_rate: int
    agent_rate: int
    qos: int


class Standing(NamedTuple):
    """What a call waits for."""

    first: Call
    """Which call begins next of those that keep it waiting; itself, where it is next."""
    at_ns: int
    """When the next of those begins, at the earliest."""
    rate: int
    """That holds them: bytes a second."""
    own: bool
    """That is its agent's; else its fleet's."""
    waiting: int
    """How many calls of the fleet wait, this one among them."""


class Flows:
    """See the module. Fleets know nothing of each other."""

    def __init__(self) -> None:
        self._flows: dict[Hashable, Flow] = {}
        self._numbered: dict[int, Flow] = {}
        self._numbers = 0
        self._due: Ranked[int] = Ranked()
        """Those at which somebody waits, by when somebody may begin."""
        self._where: dict[int, dict[int, Flow]] = {}
        """Who waits or is under way: by process, by call, at which."""
        self._sweep_at = KEPT_MIN

    def __len__(self) -> int:
        return len(self._flows)

    def ask(self, rated: Rated, call: Call, wanted: Wanted, now_ns: int) -> bool:
        """Whether a call begins now; else it waits."""
        flow = self._flow(rated, now_ns)
        agent = flow.agent(rated.agent, rated.agent_rate, now_ns)
        flow.add(agent, rated.qos, call, wanted)
        begins = flow.next(now_ns, call) is not None  # others that are due begin by `due`, and that is recorded
        if not begins or wanted.brings:
            self._where.setdefault(call[0], {})[call[1]] = flow
        if len(flow):
            self._touch(flow, now_ns)
        return begins

    def wait(self, rated: Rated, call: Call, wanted: Wanted, now_ns: int) -> None:
        """A call waits, whoever else does: an earlier kernel let it wait, or it has another class."""
        flow = self._flow(rated, now_ns)
        flow.add(flow.agent(rated.agent, rated.agent_rate, now_ns), rated.qos, call, wanted)
        self._where.setdefault(call[0], {})[call[1]] = flow
        self._touch(flow, now_ns)

    def settle(self, call: Call, brought: int, now_ns: int) -> bool:
        """A call under way has brought so many bytes; whether somebody may begin for that earlier than was said."""
        if (flow := self._where.get(call[0], {}).get(call[1])) is None:
            return False
        less = flow.settle(call, brought, now_ns)
        self.leave(*call, now_ns)
        return less and len(flow) > 0

    def leave(self, pid: int, n: int, now_ns: int) -> None:
        """That call waits no longer, if it did, or brings nothing more; what it was expected to bring stays counted."""
        own = self._where.get(pid)
        if own is not None and (flow := own.pop(n, None)) is not None:
            flow.leave((pid, n))
            self._touch(flow, now_ns)
            if not own:
                del self._where[pid]

    def leave_all(self, pid: int, now_ns: int) -> None:
        """The same, of all calls of a process."""
        for n in list(self._where.get(pid, ())):
            self.leave(pid, n, now_ns)

    def has(self, pid: int, n: int) -> bool:
        """Whether that call waits, or is under way and to be counted."""
        return n in self._where.get(pid, ())

    def waiting_of(self, pid: int) -> list[int]:
        """The calls of a process that wait."""
        return [n for n, flow in self._where.get(pid, {}).items() if not flow.is_flying((pid, n))]

    def due(self, now_ns: int) -> list[Call]:
        """Who begins now, in order."""
        found: list[Call] = []
        while (number := self._due.first()) is not None and self._due.rank(number) <= now_ns:
            flow = self._numbered[number]
            while (call := flow.next(now_ns)) is not None:
                found.append(call)
                if not flow.is_flying(call):
                    self._forget(call)
            self._touch(flow, now_ns)
        return found

    def change(self, rates_of: Callable[[Hashable], tuple[int, Callable[[Hashable], int]]], now_ns: int) -> None:
        """There are other rates; `rates_of` gives a fleet's, and its agents' by name. Looks at every fleet."""
        for of, flow in self._flows.items():
            flow.change(*rates_of(of), now_ns)
            self._touch(flow, now_ns)

    def next_ns(self) -> int | None:
        """When `due` may have somebody next; None where nobody waits."""
        number = self._due.first()
        return None if number is None else self._due.rank(number)

    def standing(self, pid: int, n: int, now_ns: int) -> Standing | None:
        """What a call waits for; None where it does not wait."""
        flow = self._where.get(pid, {}).get(n)
        found = None if flow is None else flow.standing((pid, n), now_ns)
        return None if flow is None or found is None else Standing(*found, len(flow))

    def _flow(self, rated: Rated, now_ns: int) -> Flow:
        flow = self._flows.get(rated.fleet)
        if flow is None:
            if len(self._flows) >= self._sweep_at:
                self._sweep(now_ns)
            self._numbers += 1
            flow = self._flows[rated.fleet] = self._numbered[self._numbers] = Flow(self._numbers, rated.fleet_rate)
        elif flow.meter.rate != rated.fleet_rate:
            flow.meter.change(rated.fleet_rate, now_ns)
        return flow

    def _sweep(self, now_ns: int) -> None:
        """Forget those that are as good as new."""
        for of, flow in list(self._flows.items()):
            if flow.is_new(now_ns):
                del self._flows[of], self._numbered[flow.number]
        self._sweep_at = max(KEPT_MIN, 2 * len(self._flows))

    def _touch(self, flow: Flow, now_ns: int) -> None:
        if (at_ns := flow.when(now_ns)) is None:
            self._due.drop(flow.number)
        else:
            self._due.put(flow.number, at_ns)

    def _forget(self, call: Call) -> None:
        own = self._where[call[0]]
        del own[call[1]]
        if not own:
            del self._where[call[0]]
