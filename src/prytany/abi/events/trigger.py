"""Events of triggers: what starts an agent by itself. Each is named by its fleet and its name there."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class TriggerSpec(msgspec.Struct, array_like=True, frozen=True):
    """What a trigger is. `kind` is `topic`, `cron`, `every`, `files` or `message`, and `on` what it waits for."""

    kind: str
    on: list[str]
    agent: str
    zone: str = "UTC"
    every_ms: int = 0
    how: str = "start"
    """`start` starts an agent; `message` sends to the one that lives, which is started where none does."""
    overlap: str = "skip"
    missed: str = "once"
    at_once: int = 1
    jitter_ms: int = 0
    debounce_ms: int = 0
    args: Digest = b""
    """What the agent is given, packed; empty for what fired it, as it is."""


class TriggerDeclared(msgspec.Struct, array_like=True, frozen=True, tag="trigger.declared/1"):
    """A fleet has that trigger from here on, or has it in another form; it counts on."""

    fleet: int
    name: str
    spec: TriggerSpec
    uid: int
    args: Digest = b""
    """As in `spec`, where it is found."""


class TriggerWithdrawn(msgspec.Struct, array_like=True, frozen=True, tag="trigger.withdrawn/1"):
    """It has it no more. What it started goes on."""

    fleet: int
    name: str


class TriggerSwitched(msgspec.Struct, array_like=True, frozen=True, tag="trigger.switched/1"):
    """An operator has switched it on or off. What came while it was off is not made up for."""

    fleet: int
    name: str
    on: bool


class TriggerTimed(msgspec.Struct, array_like=True, frozen=True, tag="trigger.timed/1"):
    """Its times have come, and `next_ns` is the next; with what chance adds, it is looked at at `wake_ns`."""

    fleet: int
    name: str
    times: list[int]
    next_ns: int
    wake_ns: int
    left_out: int = 0
    """Times that passed while no kernel ran, and that nothing is done for."""


class TriggerSeen(msgspec.Struct, array_like=True, frozen=True, tag="trigger.seen/1"):
    """Files of it have changed: which, is in `body`."""

    fleet: int
    name: str
    body: Digest


class TriggerMessaged(msgspec.Struct, array_like=True, frozen=True, tag="trigger.messaged/1"):
    """A message came to its address while nobody was called so. It is what its receiver will be handed."""

    fleet: int
    name: str
    number: int
    sender: int
    kind: str
    body: Digest
    call: int = 0
    """The sender's call that waits for a reply; it was opened in the same entry."""


class TriggerFired(msgspec.Struct, array_like=True, frozen=True, tag="trigger.fired/1"):
    """The oldest of what it waits with went to process `pid`: that was started with it, or is sent it as a message."""

    fleet: int
    name: str
    pid: int
    number: int
    keeps: bool = False
    """The process was started to be sent it: it is still to come."""


class TriggerSkipped(msgspec.Struct, array_like=True, frozen=True, tag="trigger.skipped/1"):
    """Nothing was done for the oldest of what it waits with, and why: `overlap`, or an errno."""

    fleet: int
    name: str
    why: str
