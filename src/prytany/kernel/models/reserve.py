"""What a model call may take at most, set aside before it is made; and what an attempt is charged that nobody reports.

The bound is one token a byte: no tokenizer in use makes more tokens of a text than it has bytes of UTF-8. What the
endpoint puts around it (the template, the form of tools) is bounded by a number a message and by three times the tools'
own size. Pictures have no such rule, so each is taken at the most that a large one costs at any provider known.

Source: the design's "Budgets"; OpenAI's pricing of pictures (gpt-4o-mini: 2,833 + 5,667 a tile, 8 tiles).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prytany.abi import events as ev
from prytany.abi.values import pack
from prytany.kernel.models.requests import Chat
from prytany.memory.context import Head
from prytany.ports.model import Model, Usage
from prytany.process.process import Reservation

NOTHING = Usage()
TEMPLATE_TOKENS = 64
MESSAGE_TOKENS = 16
IMAGE_TOKENS = 50_000
ESTIMATE_BYTES_A_TOKEN = 3  # English has 4 to 5, JSON and other scripts down to 1.5
TOKENS_MAX = 1 << 40  # of a report; beyond it the endpoint lies, and sums must stay countable
MAY_HAVE_WORKED = frozenset({"timeout", "interrupted", "garbage", "crashed"})
"""Failures after which the endpoint may have done, and charged for, the work. The others say that it did none."""


def prompt_bound(messages: Any, tools: Any = (), schema: Any = None, images: int = 0) -> int:
    """The most tokens that a prompt can have."""
    form = len(pack([tools, schema])) if tools or schema is not None else 0
    return TEMPLATE_TOKENS + MESSAGE_TOKENS * len(messages) + len(pack(messages)) + 3 * form + IMAGE_TOKENS * images


def chat_bound(chat: Chat) -> int:
    """The same of a chat, without its context."""
    request = chat.request
    return prompt_bound(request.messages, request.tools, request.schema, chat.images)


def context_bound(head: Head) -> int:
    """The most tokens that what a context holds can have; its size leaves out roles and names of fields."""
    return 2 * MESSAGE_TOKENS * head.length + head.size + IMAGE_TOKENS * head.images


def reserve_chat(pid: int, n: int, endpoint: str, model: Model, chat: Chat, before: int = 0) -> ev.ModelReserved:
    """The reservation of a chat, after `before` tokens of a context, in no account yet."""
    return _reserve(pid, n, endpoint, model, Usage(before + chat_bound(chat), chat.request.max_tokens))


def elsewhere(reserved: Reservation, model: Model, endpoint: str) -> Reservation:
    """The same call at another model: as many tokens, at that one's price."""
    most = _reserve(0, 0, endpoint, model, Usage(reserved.prompt_tokens, reserved.completion_tokens))
    return Reservation(
        most.model, most.prompt_tokens, most.completion_tokens, most.cost_usd_micros, most.priced, endpoint
    )


def reserve_embed(pid: int, n: int, endpoint: str, model: Model, texts: list[str]) -> ev.ModelReserved:
    """The reservation of an embedding."""
    return _reserve(pid, n, endpoint, model, Usage(prompt_bound(texts)))


def _reserve(pid: int, n: int, endpoint: str, model: Model, most: Usage) -> ev.ModelReserved:
    prices = model.features.prices
    cost = prices.cost_usd_micros(most) if prices is not None else 0
    return ev.ModelReserved(
        pid, n, model.name, most.prompt_tokens, most.completion_tokens, cost, prices is not None,
        endpoint,
    )  # fmt: skip


def begins(
    pid: int, n: int, most: ev.ModelReserved | Reservation, accounts: Sequence[str]
) -> ev.ModelReserved:  # fmt: skip
    """An attempt begins, set aside in these accounts."""
    return ev.ModelReserved(
        pid, n, most.model, most.prompt_tokens, most.completion_tokens, most.cost_usd_micros, most.priced,
        most.endpoint, list(accounts),
    )  # fmt: skip


def waits(pid: int, n: int, most: ev.ModelReserved | Reservation) -> ev.ModelQueued:
    """An attempt waits for its turn."""
    return ev.ModelQueued(
        pid, n, most.model, most.prompt_tokens, most.completion_tokens, most.cost_usd_micros, most.priced,
        most.endpoint,
    )  # fmt: skip


def charge(pid: int, n: int, reserved: Reservation, took_us: int, cause: str) -> ev.ModelUsed:
    """An attempt that ended without a report, at its reservation."""
    return ev.ModelUsed(
        pid, n, reserved.model, reserved.prompt_tokens, reserved.completion_tokens, reserved.cost_usd_micros,
        took_us, cause, estimated=True, priced=reserved.priced, endpoint=reserved.endpoint,
    )  # fmt: skip


def refused(pid: int, n: int, reserved: Reservation, took_us: int, cause: str) -> ev.ModelUsed:
    """An attempt that the endpoint did no work for."""
    return ev.ModelUsed(pid, n, reserved.model, 0, 0, 0, took_us, cause, False, reserved.priced, reserved.endpoint)


def settle(
    pid: int, n: int, reserved: Reservation, model: Model, usage: Usage, content: tuple[Any, Any], took_us: int,
    before: Usage = NOTHING,
) -> ev.ModelUsed:  # fmt: skip
    """An attempt that was answered, as reported; what the report leaves out, or says to be below nothing, is estimated,
    and marked so.

    Args:
        pid: whose call it is.
        n: the call's number.
        reserved: what was set aside for it.
        model: who answered.
        usage: what it reports.
        content: what was asked, and what was answered (None for nothing); their sizes count, and only where the report
            is silent.
        took_us: the time of the attempt.
        before: what of it was charged in earlier turns.
    """
    prompt, answer = content
    given, taken = usage.prompt_tokens, usage.completion_tokens
    estimated = given <= 0 or (taken <= 0 and answer is not None)
    given = given if given > 0 else _estimate(prompt)
    taken = taken if taken > 0 else _estimate(answer) if answer is not None else 0
    given, taken, cost = min(given, TOKENS_MAX), min(taken, TOKENS_MAX), usage.cost_usd_micros
    if estimated:
        prices = model.features.prices
        cost = prices.cost_usd_micros(Usage(given, taken)) if prices is not None else None
    return ev.ModelUsed(
        pid, n, model.name, max(0, given - before.prompt_tokens), max(0, taken - before.completion_tokens),
        min(max(0, (cost or 0) - (before.cost_usd_micros or 0)), TOKENS_MAX), took_us, "", estimated=estimated,
        priced=cost is not None, endpoint=reserved.endpoint,
    )  # fmt: skip


def exceeds(used: ev.ModelUsed, reserved: Reservation) -> bool:
    """Whether more was taken than was set aside."""
    tokens = used.prompt_tokens + used.completion_tokens
    return (
        tokens > reserved.prompt_tokens + reserved.completion_tokens or used.cost_usd_micros > reserved.cost_usd_micros
    )


def put_aside(pid: int, n: int, reserved: Reservation, model: Model, used: Usage, took_us: int) -> ev.ModelUsed:
    """A turn of an attempt that goes on later."""
    return ev.ModelUsed(
        pid, n, model.name, used.prompt_tokens, used.completion_tokens, used.cost_usd_micros or 0, took_us,
        ev.PUT_ASIDE, priced=used.cost_usd_micros is not None, endpoint=reserved.endpoint,
    )  # fmt: skip


def _estimate(content: Any) -> int:
    return -(-len(pack(content)) // ESTIMATE_BYTES_A_TOKEN)
