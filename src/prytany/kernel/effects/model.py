"""Asking a model: retries with backoff, what each attempt took, and waiting for a person where only one can help."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Emodel
from prytany.kernel.effects.context import ContextEffects
from prytany.kernel.effects.finished import Finished
from prytany.ports.clock import Clock
from prytany.ports.model import Model, ModelAnswer, ModelFailure, ModelRequest, ToolSpec
from prytany.process.process import Process

BACKOFF_NS = 250_000_000
NEEDS_A_PERSON = frozenset({"bad_key", "no_funds"})
Note = Callable[[tuple[ev.Event, ...]], None]
"""Records what happened on the way."""


class ModelEffects:
    """The effects that end at a model."""

    def __init__(self, clock: Clock, models: dict[str, Model], note: Note, contexts: ContextEffects) -> None:
        self._clock = clock
        self._models = models
        self._note = note
        self._contexts = contexts

    async def chat(self, process: Process, n: int, args: Any) -> Finished:
        """One answer, however many attempts it takes. Raises Emodel."""
        model = self._models[args.model or process.model]
        options = dict(args.options)
        tools = [msgspec.convert(tool, ToolSpec) for tool in options.pop("tools", [])]
        request = ModelRequest(
            messages=await self._contexts.prompt(process, args),
            max_tokens=options.pop("max_tokens", limits.MODEL_MAX_TOKENS),
            tools=tools,
            **options,
        )
        for attempt in range(limits.MODEL_ATTEMPTS_MAX):
            began_ns = self._clock.now_ns()
            try:
                answer = await model.chat(request)
            except ModelFailure as failure:
                self._note((self._used(process, n, model, None, began_ns, failure.kind),))
                if failure.kind in NEEDS_A_PERSON:
                    self._note((ev.IncidentOpened(process.pid, failure.kind, n),))
                    # Until a person has seen to it, or it is cancelled.
                    await asyncio.get_running_loop().create_future()
                if not failure.retryable or attempt + 1 == limits.MODEL_ATTEMPTS_MAX:
                    raise Emodel(failure.message, call="model_chat", detail={"cause": failure.kind}) from failure
                pause_ns = (failure.retry_after_ms or 0) * 1_000_000 or BACKOFF_NS << attempt
                await self._clock.sleep_until(self._clock.now_ns() + pause_ns)
            else:
                used = self._used(process, n, model, answer, began_ns, "")
                value = {
                    "text": answer.text,
                    "finish": answer.finish,
                    "tool_calls": msgspec.to_builtins(answer.tool_calls),
                    "usage": msgspec.to_builtins(answer.usage),
                    "model": answer.model or model.name,
                }
                value, appended = self._contexts.answered(process, n, value, model.name)
                return Finished(value, (used,), appended)
        raise AssertionError("the last attempt returns or raises")

    def _used(
        self, process: Process, n: int, model: Model, answer: ModelAnswer | None, began_ns: int, cause: str
    ) -> ev.ModelUsed:
        took_us = (self._clock.now_ns() - began_ns) // 1000
        usage = answer.usage if answer else None
        return ev.ModelUsed(
            process.pid, n, model.name, usage.prompt_tokens if usage else 0, usage.completion_tokens if usage else 0,
            (usage.cost_usd_micros or 0) if usage else 0, took_us, cause,
        )  # fmt: skip
