"""What a fleet file says of turns and budgets: an endpoint's limits, the order of those that wait for it, where else
calls go, and what may be spent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from prytany.abi.budgets import NONE, Bounds
from prytany.abi.budgets import Budget as Known
from prytany.abi.qos import QOS
from prytany.ports.model import ModelRoute
from prytany.system.fleet.form_base import Form, Name

PERCENT = r"^([1-9][0-9]?|100)%$"
ROUTES_MAX = 32
FALLBACKS_MAX = 7
"""With the model itself as many as the scheduler follows."""
PER_MINUTE_MAX = 1_000_000_000
TOKENS_MAX = 1_000_000_000_000
CALLS_MAX = 1_000_000_000
PROMPT_MAX = 1_000_000_000
USD_MIN = 0.0001
USD_MAX = 1_000_000.0
WALL_S_MAX = 315_360_000.0
"""Ten years."""
UNLIMITED = "unlimited"
Class = Literal["interactive", "initiated", "utility", "background"]
"""As `abi.qos` has them."""
Policy = Literal[
    "classes", "fair_share", "priority", "round_robin", "first_come", "earliest_deadline", "shortest_first"
]
"""As `scheduling.policies` has them."""
Preempts = Literal["never", "saved", "undelivered"]
"""As `scheduling.preemption` has them."""


ANSWERS_BYTES_MAX = 1 << 40


class Limits(Form, frozen=True):
    """What may be asked of an endpoint."""

    concurrency: Annotated[int, Meta(ge=1, le=4_096, description="requests at a time")] | None = None
    requests_per_minute: (
        Annotated[int, Meta(ge=1, le=PER_MINUTE_MAX, description="requests within any minute")] | None
    ) = None
    tokens_per_minute: (
        Annotated[int, Meta(ge=1, le=PER_MINUTE_MAX, description="tokens within any minute, asked and answered")] | None
    ) = None


class Spares(Form, frozen=True):
    """Which calls need not be made, because the same is being asked or was."""

    twins: Annotated[bool, Meta(description="of identical calls under way one is asked, and all are answered")] = False
    answers_bytes: (
        Annotated[int, Meta(ge=1, le=ANSWERS_BYTES_MAX, description="of answers that are kept for who asks the same")]
        | None
    ) = None
    same_at_zero: Annotated[
        bool, Meta(description="any answer at temperature 0 will do for all, though the model may not repeat itself")
    ] = False


class Route(Form, frozen=True):
    """Calls that fit all that it says go to another model."""

    model: Annotated[Name, Meta(description="one of `models`, where they go")]
    qos: Annotated[list[Class] | Class | None, Meta(description="calls of this class of service, or of these")] = None
    prompt_min: (
        Annotated[int, Meta(ge=1, le=PROMPT_MAX, description="calls that ask with as many tokens, or more")] | None
    ) = None
    prompt_max: (
        Annotated[int, Meta(ge=1, le=PROMPT_MAX, description="calls that ask with as many tokens, or fewer")] | None
    ) = None
    budget_below: (
        Annotated[str, Meta(pattern=PERCENT, description="calls of whom less is left of a budget, as `20%`")] | None
    ) = None

    @property
    def classes(self) -> list[Class]:
        """Those that it names."""
        return [] if self.qos is None else [self.qos] if isinstance(self.qos, str) else self.qos

    @property
    def says(self) -> bool:
        """Whether it says of which calls it speaks."""
        return any(said is not None for said in (self.qos, self.prompt_min, self.prompt_max, self.budget_below))

    @property
    def known(self) -> ModelRoute:
        """As the kernel takes it, but for the model's name, which is still the fleet's."""
        return ModelRoute(
            self.model,
            tuple(sorted({int(QOS[name]) for name in self.classes})),
            self.prompt_min or 0,
            self.prompt_max or 0,
            10 * int((self.budget_below or "0%").removesuffix("%")),
        )


class PerMinute(Form, frozen=True):
    """What may be spent within any minute."""

    tokens: Annotated[int, Meta(ge=1, le=TOKENS_MAX, description="asked and answered")] | None = None
    usd: Annotated[float, Meta(ge=USD_MIN, le=USD_MAX, description="US dollars, where models have a price")] | None = (
        None
    )
    calls: Annotated[int, Meta(ge=1, le=CALLS_MAX, description="of models")] | None = None

    @property
    def bounds(self) -> Bounds:
        """As the kernel counts."""
        micros = None if self.usd is None else round(self.usd * 1_000_000)
        return Bounds(*(NONE if most is None else most for most in (self.tokens, micros, self.calls)))


class RunBudget(PerMinute, frozen=True):
    """What may be spent: in total, and within any minute."""

    wall_s: (
        Annotated[float, Meta(ge=0.001, le=WALL_S_MAX, description="seconds from its begin on, downtime too")] | None
    ) = None
    processor_s: (
        Annotated[float, Meta(ge=0.001, le=WALL_S_MAX, description="seconds of the processor, of workers")] | None
    ) = None
    per_minute: Annotated[PerMinute | None, Meta(description="within any minute")] = None

    @property
    def bounds(self) -> Bounds:
        """As the kernel counts, in total."""
        found = super().bounds
        wall_ms, processor_ms = (NONE if s is None else round(s * 1_000) for s in (self.wall_s, self.processor_s))
        return Bounds(found.tokens, found.usd_micros, found.calls, wall_ms, processor_ms)

    @property
    def known(self) -> Known:
        """As the kernel takes it."""
        return Known(self.bounds, (self.per_minute or PerMinute()).bounds)

    @property
    def in_money(self) -> tuple[str, ...] | None:
        """The keys at which it bounds money; None where it does not."""
        if self.usd is not None:
            return ("usd",)
        return ("per_minute", "usd") if self.per_minute is not None and self.per_minute.usd is not None else None


class AgentBudget(RunBudget, frozen=True):
    """The same, of each process of an agent."""

    of: Annotated[
        Literal["process", "tree"] | None,
        Meta(description="`tree`, where nothing is said: it and all that it starts; `process`: it alone"),
    ] = None


RunBudgeted = RunBudget | Literal["unlimited"]
AgentBudgeted = AgentBudget | Literal["unlimited"]


def form_of(budget: Known) -> RunBudgeted:
    """A budget of the kernel's as a file has it, to be shown."""
    if budget == Known():
        return "unlimited"
    total, minute = (_amounts(bounds) for bounds in (budget.total, budget.minute))
    return RunBudget(**total, per_minute=PerMinute(**minute) if minute else None)


def _amounts(bounds: Bounds) -> dict[str, Any]:
    said = {"tokens": bounds.tokens, "calls": bounds.calls}
    scaled = {
        "usd": (bounds.usd_micros, 1e6),
        "wall_s": (bounds.wall_ms, 1e3),
        "processor_s": (bounds.processor_ms, 1e3),
    }
    whole = {key: value for key, value in said.items() if value != NONE}
    return whole | {key: value / unit for key, (value, unit) in scaled.items() if value != NONE}


def known_budget(said: RunBudgeted | AgentBudgeted | None) -> Known | None:
    """As the kernel takes it; None where nothing is said."""
    if said is None:
        return None
    return Known() if isinstance(said, str) else said.known
