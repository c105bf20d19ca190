"""Events of models."""

from __future__ import annotations

import msgspec

from prytany.abi.events.digest import Digest


class ModelReserved(msgspec.Struct, array_like=True, frozen=True, tag="model.reserved/1"):
    """The most that one attempt at call `n` can take, set aside while the call is open. It stands in the entry of the
    call's intent; each attempt of the call has it anew, one after the other."""

    pid: int
    n: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    priced: bool | None = None
    """Whether the model's price is known; None of records of before that was said."""
    endpoint: str = ""
    """The kernel's name of the model, whose queue it stood in; "" in records of before there were queues."""
    accounts: list[str] = []
    """The budgets that it is set aside in."""


class ModelQueued(msgspec.Struct, array_like=True, frozen=True, tag="model.queued/1"):
    """Call `n` waits for its turn at a model: in the entry of its intent, or after an attempt that is to be made again.
    The rest is what its reservation will say, and it is none yet."""

    pid: int
    n: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    priced: bool | None
    endpoint: str


KEPT, TWIN = "kept", "twin"
"""What answers a call that was not asked: an answer that was kept, or that of the same call of another."""


class ModelSpared(msgspec.Struct, array_like=True, frozen=True, tag="model.spared/1"):
    """Call `n` has its answer, and its model was not asked for it. It took nothing."""

    pid: int
    n: int
    model: str
    endpoint: str
    by: str
    """`KEPT` or `TWIN`."""
    tokens: int
    """That asking took the one who was asked."""
    cost_usd_micros: int


class ModelKept(msgspec.Struct, array_like=True, frozen=True, tag="model.kept/1"):
    """The answer to call `n` is kept for those who ask the same, for as long as nobody forgets it: as its endpoint gave
    it, without what a context or a stream made of it. It stands in the entry of the call's end."""

    pid: int
    n: int
    endpoint: str
    answer: Digest


HELD = "held"
PUT_ASIDE = "put_aside"
PREEMPTED = "preempted"


class ModelUsed(msgspec.Struct, array_like=True, frozen=True, tag="model.used/1"):
    """What one attempt at a model took, whether or not it was answered.

    `cause` is empty for an answer. Otherwise it is the failure's kind, `cancelled` (nobody waits for it any more) or
    `lost` (the kernel died meanwhile). An attempt that ends without an answer and may have been worked on is charged
    at its reservation; one that gave way to a more urgent call (`PREEMPTED`) is such an end. `PUT_ASIDE` is one turn
    of an attempt that goes on later, with what that turn took. `HELD` is no attempt: the call waited to make one when
    its kernel was told to stop.
    """

    pid: int
    n: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    took_us: int
    cause: str = ""
    estimated: bool = False
    """The endpoint did not say what it used: the tokens are an estimate, or the reservation."""
    priced: bool | None = None
    """Whether what it cost is known; None of records of before that was said."""
    endpoint: str = ""
    """As in its reservation."""
