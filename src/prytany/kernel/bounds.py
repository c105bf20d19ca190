"""Bounds of a process that its agent's fleet file can set."""

from __future__ import annotations

from prytany.abi import limits
from prytany.supervision.fleets import Fleets


def mailbox_room(fleets: Fleets, pid: int) -> int:
    """How many messages its mailbox holds."""
    if pid in fleets.members and (agent := fleets.agent_of(pid)) is not None and agent.mailbox:
        return agent.mailbox
    return limits.MAILBOX_MESSAGES_MAX


def attempts_most(fleets: Fleets, pid: int) -> int:
    """How often it is tried with one message."""
    if pid in fleets.members and (agent := fleets.agent_of(pid)) is not None and agent.attempts:
        return agent.attempts
    return limits.MESSAGE_ATTEMPTS_MAX
