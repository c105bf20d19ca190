"""The model: one endpoint that answers chat requests."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """What the endpoint says that it used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd_micros: int | None = None
    """None where no price is known."""


class Prices(msgspec.Struct, frozen=True):
    """US dollars a million tokens. A dollar a million is a millionth of a dollar a token."""

    usd_per_million_in: float
    usd_per_million_out: float
    usd_per_million_cached: float | None = None
    """Of what the endpoint had read before; None for the same as of the rest."""

    def cost_usd_micros(self, usage: Usage, cached_tokens: int = 0) -> int:
        """Rounded up, so that many small calls do not add up to nothing."""
        cost = usage.prompt_tokens * self.usd_per_million_in + usage.completion_tokens * self.usd_per_million_out
        if self.usd_per_million_cached is not None:
            cached = max(0, min(cached_tokens, usage.prompt_tokens))
            cost += cached * (self.usd_per_million_cached - self.usd_per_million_in)
        return math.ceil(round(cost, 6))


class ModelLimits(msgspec.Struct, frozen=True):
    """What may be asked of an endpoint, as its operator says; 0 where nothing is said."""

    concurrency: int = 0
    """Calls at once."""
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    policy: str = "classes"
    """In which order calls begin that wait; a name of `prytany.scheduling.policies`."""
    preempts: str = ""
    """Which generations give way to more urgent ones; a name of `prytany.scheduling.preemption.Preempts`. Empty is
    `saved` where slots can be saved, and else `never`."""
    coalesce: bool = False
    """Identical calls in flight become one, where any answer will do for all."""
    answers_bytes: int = 0
    """Of answers that are kept for those who ask the same, where any answer will do for all; none where 0."""
    same_at_zero: bool = False
    """Any answer at temperature 0 will do for all, though the endpoint is not deterministic."""


class ModelRoute(msgspec.Struct, frozen=True):
    """Calls that fit all that it says go to another model."""

    model: str
    """The kernel's name of that."""
    qos: tuple[int, ...] = ()
    """Of these classes; of all where empty."""
    prompt_min: int = 0
    """Tokens, as the kernel bounds them: one a byte."""
    prompt_max: int = 0
    """The same; 0 for any number."""
    budget_below_permille: int = 0
    """Where less than this of the tightest budget is left; whatever is left where 0."""


class ModelFeatures(msgspec.Struct, frozen=True):
    """What an endpoint can do."""

    streaming: bool = False
    tools: bool = False
    json_schema: bool = False
    images: bool = False
    embeddings: bool = False
    deterministic: bool = False
    """The same request gives the same answer, whatever else runs."""
    prices: Prices | None = None
    """The most that its tokens cost; None where no price is known."""
    limits: ModelLimits = ModelLimits()
    routes: tuple[ModelRoute, ...] = ()
    """Where calls that name it go instead; the first that fits."""
    fallback: tuple[str, ...] = ()
    """Who stands in for it while it cannot be asked, by the kernel's names, in order."""
    slots: int = 0
    """How many calls it works on at once, where that is of its own making: a local model. 0 where nobody knows."""
    saves_slots: bool = False
    """A generation can be put aside and gone on with, in any slot, without loss: see `ports.turns`."""
    edition: int = 0
    """With another number it is another model, under the same name."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the model is told of it; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class ModelRequest(msgspec.Struct, frozen=True):
    """One request. `messages` are in OpenAI's chat form: role, content, and what goes with them. A content may be a
    list of parts; one of type `image` has its media_type and its data as bytes."""

    messages: list[dict[str, Any]]
    max_tokens: int
    temperature: float | None = None
    seed: int | None = None
    stop: list[str] = []
    schema: dict[str, Any] | None = None
    """The answer has to be JSON of this JSON Schema."""
    tools: list[ToolSpec] = []
    extra: dict[str, Any] = {}
    """Fields that are passed on as they are."""
    tenant: int = 0
    """Whose it is: what an endpoint of ours keeps of a prompt, it keeps apart by this. It is not sent."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model asks for; `arguments` is the JSON text that it wrote, unchecked."""

    id: str
    name: str
    arguments: str


class Allowance(msgspec.Struct, frozen=True):
    """What an endpoint says of one quantity; `limit` and `reset_ns` are 0, and `left` is -1, where it does not."""

    limit: int = 0
    """A minute."""
    left: int = -1
    reset_ns: int = 0
    """How long until all of it is left again."""


class Told(msgspec.Struct, frozen=True):
    """What an endpoint says, beside an answer or a refusal, of what may be asked of it."""

    requests: Allowance | None = None
    tokens: Allowance | None = None


class ModelAnswer(msgspec.Struct, frozen=True):
    """One answer, whole."""

    text: str
    finish: str
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    tool_calls: list[ToolCall] = []
    usage: Usage = Usage()
    model: str = ""
    told: Told | None = None


class Embedded(msgspec.Struct, frozen=True):
    """One vector a text, in the order of the texts; and what the endpoint says that it used."""

    vectors: list[list[float]]
    usage: Usage = Usage()


class ModelFailure(Exception):
    """The endpoint did not answer; the kernel turns it into an errno and decides whether to try again.

    Attributes:
        kind: `unreachable`, `timeout`, `rate_limited`, `overloaded`, `bad_key`, `bad_request`, `no_model`, `too_long`,
            `garbage`, `interrupted`, `no_funds`, `not_there` (its driver cannot be opened now) or `crashed`.
        retryable: the same request may be made again, later.
        retry_after_ms: how long the endpoint asks to be left alone, or None.
        told: what it says of its limits, or None.
    """

    told: Told | None = None

    def __init__(self, kind: str, message: str, *, retryable: bool, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms


class Model(Protocol):
    """One endpoint. It keeps no conversation and never retries: both are the kernel's. Each request ends by itself, in
    a time that the driver bounds: only it knows what of the time was waiting for a turn."""

    @property
    def name(self) -> str:
        """As the operator named it."""
        ...

    @property
    def features(self) -> ModelFeatures:
        """What it can do."""
        ...

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; raises ModelFailure. Closing it ends the request."""
        ...

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text; raises ModelFailure."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...
