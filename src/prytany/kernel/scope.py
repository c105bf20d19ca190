"""Scopes: whom a process can name, and what it shares by a name.

Members of one fleet share it: the operator declared them together. Everybody else shares it with their run alone, so
two runs do not collide.
"""

from __future__ import annotations

from prytany.process.process import Process
from prytany.supervision.fleets import Fleets


def scope_of(fleets: Fleets, p: Process) -> str:
    """The scope of a process: `fleet:3`, or `run:17` where it is of no fleet."""
    member = fleets.members.get(p.pid)
    return f"run:{p.run}" if member is None else f"fleet:{member.fleet}"
