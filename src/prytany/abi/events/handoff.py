"""The event by which a process becomes another agent."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class ProcessHandedOff(msgspec.Struct, array_like=True, frozen=True, tag="process.handed_off/1"):
    """It is another agent of its fleet from here on, with what the fleet grants that one; its record is cut here.

    Pid, mailbox, waiters, children, session and the budgets of its tree and run stay. Of its contexts the one that is
    named stays, and no other.
    """

    pid: int
    prev: int
    by: str
    """The agent that it was."""
    agent: str
    name: str
    """Of the process: the agent's, where it had that of the one before."""
    kind: str
    program: str
    source: Digest
    pledge: list[str]
    unveil: dict[str, str]
    model: str
    python: str
    environment: str
    restarts: int
    tags: list[str]
    qos: int
    weight: int
    kept: bool
    """As for a member of its fleet: nobody but people hears of its failure."""
    handed: Digest
    """What it is given, packed: arguments, variables, the reason."""
    row: int
    """How many times in a row it was handed over, this one included, and nobody did anything."""
    context: int = 0
    """The number of the conversation that goes on; 0 for none."""
