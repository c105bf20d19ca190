"""Scheduling, as an operator tells a kernel of it and is told: queues at models, budgets, and what a process waits for.

Amounts are whole numbers by the names of `abi.budgets.Bounds`: tokens, usd_micros, calls, and times in ms.
"""

from __future__ import annotations

import msgspec

from prytany.abi.budgets import UNBOUNDED, Bounds

CALLS_SHOWN_MAX = 50
"""Waiting calls of one queue in an answer: the oldest."""
CAUSES_MAX = 200
"""Of one explanation."""
ACCOUNT_KINDS = ("process", "tree", "run", "tenant")


class ListQueues(msgspec.Struct, array_like=True, frozen=True, tag="queues"):
    """The queues at models."""


class ListBudgets(msgspec.Struct, array_like=True, frozen=True, tag="budgets"):
    """At most ROWS_MAX accounts by name, after that one: those that the calls of a process are set aside in, or all
    (0)."""

    pid: int = 0
    after: str = ""


class ExplainProcess(msgspec.Struct, array_like=True, frozen=True, tag="why"):
    """What a process waits for, down to the last cause."""

    pid: int


class AddBudget(msgspec.Struct, array_like=True, frozen=True, tag="budget add"):
    """Raise the bounds of an account of a process; who was stopped for want of it goes on. Answered with the account.

    `of` is one of `ACCOUNT_KINDS`; "" is the one that stopped it, or else its run's.
    """

    pid: int
    of: str
    more: Bounds


class GrantBudget(msgspec.Struct, array_like=True, frozen=True, tag="budget set"):
    """Bound an account of a process anew; `KEPT` of `abi.budgets` leaves a bound as it is. Else as AddBudget."""

    pid: int
    of: str
    total: Bounds = UNBOUNDED
    minute: Bounds = UNBOUNDED


class ScheduleProcess(msgspec.Struct, array_like=True, frozen=True, tag="schedule"):
    """Give a process another class, weight or deadline; arguments are those of `agent_schedule`."""

    pid: int
    qos: str = ""
    weight: int = 0
    deadline_ms: int = -1


SchedulingLook = ListQueues | ListBudgets | ExplainProcess
SchedulingCommand = SchedulingLook | AddBudget | GrantBudget | ScheduleProcess


class CallRow(msgspec.Struct, kw_only=True):
    """A call that waits for its turn at a model. Times are the kernel's."""

    pid: int
    n: int
    name: str
    agent: str
    """`FLEET.AGENT`; "" where it is of no fleet."""
    qos: str
    weight: int
    deadline_ns: int
    """0 for none."""
    since_ns: int
    waited_us: int
    tokens: int
    """That it is expected to take of a minute's."""
    account: str = ""
    """The budget that it waits for, instead of the endpoint."""
    refusals: int = 0
    """How often the endpoint sent it away."""


class PaceRow(msgspec.Struct, kw_only=True):
    """One rate of an endpoint: requests or tokens, a minute."""

    limit: int = 0
    """0 where nobody named one."""
    allowed: int = 0
    """What is asked of it, since the limit turned out to be lower; 0 without a limit."""
    used: int = 0
    """Within the last minute."""
    left: int = -1
    """-1 without a limit."""
    learned: bool = False
    """Nobody named the limit: it was guessed from a refusal."""


class SparedRow(msgspec.Struct, kw_only=True):
    """Calls of one model that were not made, since the kernel began."""

    waiting: int = 0
    """Calls that wait now for the answer of another, which is under way, and for no turn."""
    twins: int = 0
    """Calls that the answer of another answered."""
    hits: int = 0
    """Calls that a kept answer answered."""
    misses: int = 0
    """Calls that none was kept for."""
    tokens: int = 0
    """That twins and hits would have taken."""
    cost_usd_micros: int = 0
    answers: int = 0
    """That are kept now."""
    answers_bytes: int = 0
    answers_bytes_max: int = 0
    """0 where none are kept."""


class QueueRow(msgspec.Struct, kw_only=True):
    """The queue of one model. Where no kernel runs, only what the journal says of it is there."""

    endpoint: str
    """The kernel's name of the model."""
    model: str
    """What the model calls itself, where that is known."""
    names: list[str]
    """What fleets call it, as `FLEET.NAME`."""
    live: bool
    """A kernel runs: limits, order and breaker are known."""
    policy: str = ""
    waiting: dict[str, int]
    """By class; those that wait for a budget among them."""
    parked: int = 0
    """How many of those wait for a budget, and not for the endpoint."""
    in_flight: int = 0
    at_once: int = 0
    """How many may be in flight; 0 for any number."""
    requests: PaceRow
    tokens: PaceRow
    refusals: int = 0
    """How often the endpoint said that there were too many (429, or 503 with Retry-After)."""
    paused_ns: int = 0
    """Nothing begins before, since the endpoint asked for that; 0 where it did not."""
    breaker: str = ""
    """`closed`, `open` or `half open`."""
    breaker_cause: str = ""
    breaker_since_ns: int = 0
    served: int = 0
    """Calls that this kernel had answered there."""
    service_us: int = 0
    """The mean time of a call, of late."""
    next: CallRow | None = None
    why: str = ""
    """Why that one is next, by the policy."""
    waits_for: str = ""
    """What it waits for; "" where it begins now, or nobody waits."""
    ready_ns: int = 0
    """When it may begin by itself; 0 where only the end of another call can tell."""
    calls: list[CallRow] = []
    """The CALLS_SHOWN_MAX oldest."""
    now_ns: int
    spared: SparedRow | None = None
    """None where no call is spared, or no kernel runs."""


class AccountRow(msgspec.Struct, kw_only=True):
    """A budget: what it bounds, and how far it is used."""

    account: str
    pid: int
    """Whose it is; 0 for a tenant's."""
    name: str
    """Of that process."""
    total: dict[str, int]
    minute: dict[str, int]
    spent: dict[str, int]
    reserved: dict[str, int]
    """Set aside for calls under way."""
    left: dict[str, int]
    """Of what is bounded in total."""
    debt: dict[str, int]
    """What was taken beyond the bound, where it was."""
    minute_used: dict[str, int]
    """Within the last minute, of what is bounded a minute."""
    opened_ns: int
    ends_ns: int
    """When its time is up; 0 for never."""
    waiting: int = 0
    """Calls that wait until something of it is given back."""
    stopped: list[int] = []
    """Processes that are stopped for want of it; at most ROWS_MAX."""
    alive: bool = True
    """Whose it is goes on."""
    now_ns: int


class Scheduled(msgspec.Struct, kw_only=True):
    """What a process has now."""

    pid: int
    qos: str
    weight: int
    deadline_ns: int
    """0 for none."""


class CauseRow(msgspec.Struct, kw_only=True):
    """One thing that a process waits for; those that follow at a greater depth are its causes."""

    depth: int
    pid: int
    name: str
    n: int
    """The call that waits; 0 for the process itself."""
    call: str
    kind: str
    """`turn`, `budget`, `stopped`, `child`, `reply`, `message`, `timer`, `resource`, `person`, `model`, `place`, …"""
    text: str
    since_ns: int
    """0 where that is not known."""
    help: list[str]
    """Commands that help, without `prytany` before them."""
    leads: list[int]
    """Processes that it waits for."""
