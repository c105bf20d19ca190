"""Pools: processes of one agent that share a mailbox; a fold of who they are, and who of them waits for a message.

The mailbox is that of the pool, which is a group (`abi.supervision.GROUP`): who sends knows its pid or name alone. A
message waits there until a member asks for one, and then goes over into that member's own mailbox and hand. What a
member leaves comes back, in front.
"""

from __future__ import annotations

import msgspec

from prytany.abi import events as ev


class Pool(msgspec.Struct, array_like=True):
    """One pool."""

    pid: int
    agent: str
    least: int
    most: int
    target: int
    """Messages a member that may wait, before there are more members."""
    idle_ms: int
    """After so long without a message there is a member less, down to `least`."""
    members: dict[int, None] = {}
    free: dict[int, None] = {}
    """Those that wait for a message, the longest first."""
    busy_ns: int = 0
    """When a message was handed to a member last, or its size changed."""
    full: bool = False
    """It could not grow, as the process table is; until it has shrunk."""
    made: int = 0
    """How many members there have been."""

    def wanted(self, waiting: int) -> int:
        """How many members there should be, with so many messages that wait."""
        return max(self.least, min(self.most, -(-waiting // self.target)))

    def grows(self, waiting: int) -> bool:
        """Whether it needs more than it has."""
        return not self.full and waiting > self.target * len(self.members) and len(self.members) < self.most


class Pools(msgspec.Struct):
    """All of a shard, by pid."""

    pools: dict[int, Pool] = {}
    members: dict[int, int] = {}
    """To their pools."""
    due: dict[int, None] = {}
    """Those that have a message for somebody who waits, or need more members."""

    def of(self, pid: int) -> Pool | None:
        """The pool of a member."""
        return self.pools.get(self.members.get(pid, 0))

    def declared(self, e: ev.PoolDeclared) -> None:
        """Fold a new one, or other bounds."""
        pool = self.pools.get(e.pid)
        if pool is None:
            self.pools[e.pid] = Pool(e.pid, e.agent, e.least, e.most, e.target, e.idle_ms)
        else:
            pool.least, pool.most, pool.target, pool.idle_ms = e.least, e.most, e.target, e.idle_ms

    def joined(self, pid: int, of: int) -> None:
        """Fold a new member."""
        pool = self.pools[of]
        pool.members[pid] = None
        pool.made += 1
        self.members[pid] = of

    def left(self, pid: int) -> None:
        """Fold that one has ended."""
        pool = self.pools.get(self.members.pop(pid, 0))
        if pool is not None:
            pool.members.pop(pid, None)
            pool.free.pop(pid, None)
            pool.full = False

    def gone(self, pid: int) -> None:
        """Fold that a pool has ended."""
        pool = self.pools.pop(pid, None)
        self.due.pop(pid, None)
        for member in pool.members if pool is not None else ():
            self.members.pop(member, None)
