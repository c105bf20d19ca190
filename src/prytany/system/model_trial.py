"""One short question to a model, through the driver that agents' questions go through: does it work here, and how fast?

It is asked once and not again: a person looks on, and wants to see what the first try meets.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec

from prytany.abi.errors import Einval, Emodel, Enoent, KernelError
from prytany.drivers.models.failures import failure
from prytany.ports.model import Model, ModelAnswer, ModelFailure, ModelRequest
from prytany.system.fleet.models import ready_models
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.switched import SwitchedModel
from prytany.system.models import name_model, open_model
from prytany.system.wording import meant, quoted

PROMPT = "Say in one short sentence what you are."
PROMPT_BYTES_MAX = 64 << 10
TOKENS_MAX = 64
SECONDS = 60.0
FEATURES = ("streaming", "tools", "json_schema", "images", "embeddings", "deterministic")
NEXT = {
    "unreachable": "see that the address is right, that something listens there, and that this machine reaches it",
    "timeout": "the endpoint took the question and did not answer; try again, with a longer --timeout",
    "rate_limited": "the endpoint asks to be left alone for a while; try again later",
    "overloaded": "the endpoint has trouble of its own; try again later",
    "bad_key": "set the key that the endpoint gave you: PRYTANY_MODEL_KEY, or the fleet file's secret",
    "no_funds": "the endpoint's account has no money left; see to it there",
    "no_model": "see which models the endpoint has, and whether the address goes up to /v1",
    "too_long": "ask something shorter",
    "bad_request": "the endpoint does not take what it was asked; see whether it speaks OpenAI's chat protocol",
    "garbage": "what answers does not speak OpenAI's chat protocol; see that the address goes up to /v1",
    "interrupted": "the connection broke; try again",
    "crashed": "see with `prytany models check` whether the file is whole, and whether there is memory enough for it",
}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    name: str
    model: str
    """As the driver names what answered."""
    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    first_ms: int
    """Until the first of the answer was there; a model file is loaded within it."""
    took_ms: int
    tokens_a_second: float
    """From the first piece on, where it came in pieces; 0 where there was nothing to measure."""
    cost_usd_micros: int | None
    features: list[str]


def model_alone(fleet: ResolvedFleet, name: str) -> ResolvedFleet:
    """A fleet with one of its models and nothing else, which is all that a trial has to be trusted with. Raises Enoent
    where there is none of that name."""
    if name not in fleet.models:
        raise Enoent(f"the fleet {fleet.name} has no model {quoted(name)}{meant(name, fleet.models)}")
    return msgspec.structs.replace(fleet, models={name: fleet.models[name]}, agents={}, tools={}, notify=[])


def open_tried(name: str, fleet: ResolvedFleet | None) -> Model:
    """The model that a name means: a fleet's where one is given, else as `--model` takes it.

    Raises:
        KernelError: there is none of that name, or it cannot be opened.
    """
    if fleet is None:
        return open_model(name_model(name))
    return SwitchedModel(*ready_models(model_alone(fleet, name), {})[name])


async def try_model(name: str, model: Model, prompt: str = PROMPT, *, seconds: float = SECONDS) -> Trial:
    """Ask it once, and close it.

    Args:
        name: shown.
        model: open.
        prompt: what is asked.
        seconds: how long all of it may take.

    Raises:
        Emodel: no answer came; `detail["cause"]` says why, and the note what to do next.
        Einval: the prompt is empty, too long, or no text.
    """
    try:
        size = len(prompt.encode())
    except UnicodeEncodeError:
        raise Einval("the prompt is no UTF-8 text") from None
    if not 0 < size <= PROMPT_BYTES_MAX:
        raise Einval(f"a prompt has from 1 to {PROMPT_BYTES_MAX} bytes, and this one has {size}")
    request = ModelRequest([{"role": "user", "content": prompt}], max_tokens=TOKENS_MAX)
    try:
        async with asyncio.timeout(seconds):
            return await _ask(name, model, request)
    except TimeoutError:
        raise _told(name, failure("timeout", f"no whole answer within {seconds:g} seconds")) from None
    except ModelFailure as error:
        raise _told(name, error) from None
    finally:
        await model.close()


async def _ask(name: str, model: Model, request: ModelRequest) -> Trial:
    clock = asyncio.get_running_loop().time
    began = clock()
    first: float | None = None
    answer: ModelAnswer | None = None
    if model.features.streaming:
        async with aclosing(model.stream(request)) as pieces:
            async for piece in pieces:
                first = first or clock()
                if isinstance(piece, ModelAnswer):
                    answer = piece
    else:
        answer = await model.chat(request)
    ended = clock()
    if answer is None:
        raise failure("garbage", "a stream without an answer")
    tokens = answer.usage.completion_tokens
    writing = ended - (first or began)  # all but the first token are written after the first piece
    return Trial(
        name=name, model=answer.model or model.name, text=answer.text, finish=answer.finish,
        prompt_tokens=answer.usage.prompt_tokens, completion_tokens=tokens,
        first_ms=round(((first or ended) - began) * 1_000), took_ms=round((ended - began) * 1_000),
        tokens_a_second=round((tokens - 1) / writing, 1) if tokens > 1 and writing > 0.001 else 0.0,
        cost_usd_micros=answer.usage.cost_usd_micros,
        features=[feature for feature in FEATURES if getattr(model.features, feature)],
    )  # fmt: skip


def _told(name: str, error: ModelFailure) -> KernelError:
    told = Emodel(f"the model {name!r} did not answer: {error.message}", detail={"cause": error.kind})
    told.add_note(NEXT.get(error.kind, "try again"))
    return told
