"""Asking a model: retries with backoff, what each attempt took, and waiting for a person where only one can help.

Each attempt is charged: by the report of what it used, or at its reservation where the endpoint may have worked and
did not say (`kernel.reserve`). The charge of the last attempt stands in the entry of the call's result, so that a
crash separates neither from the other.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.values import pack
from prytany.kernel.effects.context import ContextEffects
from prytany.kernel.effects.finished import Finished
from prytany.kernel.effects.generation import Generation
from prytany.kernel.effects.stream import Pieces, interrupted
from prytany.kernel.models.giving_way import AttemptTurn, GaveWay
from prytany.kernel.models.requests import Chat, chat_of, led, needs_in
from prytany.kernel.models.reserve import MAY_HAVE_WORKED, NOTHING, charge, exceeds, put_aside, refused, settle
from prytany.kernel.models.routes import ModelRoutes
from prytany.kernel.models.turns import CANCELLED, ModelTurns
from prytany.kernel.outcome import Sparing as Asked
from prytany.ports.clock import Clock
from prytany.ports.model import Model, ModelAnswer, ModelFailure, ModelRequest, Told, Usage
from prytany.process.process import OpenCall, Process, Reservation
from prytany.scheduling.run_queue import Used

BACKOFF_NS = 250_000_000
NEEDS_A_PERSON = frozenset({"bad_key", "no_funds", "not_there"})
NOT_THERE = frozenset({"no_model", "too_long"})
"""This model cannot answer, however often it is asked; another may."""
CLOSED = Finished(["the call was closed meanwhile", {}], errno="ECANCELED")
"""Of a call that has its end already; it goes nowhere."""


class Sparing(Asked, Protocol):
    """Who else gets an answer: `model_sparing`, as effects see it."""

    def answered(self, process: Process, n: int, text: str, finished: Finished) -> Finished:
        """An endpoint answered call `n`, with the whole `text`; gives what is recorded with its end."""
        ...


class Overruns(Protocol):
    """Budgets that run out, as effects see them."""

    def overran(self, pid: int, n: int, used: ev.ModelUsed) -> None:
        """Call `n` took more than was set aside for it, which is about to be recorded."""
        ...


class Owner(Protocol):
    """The kernel, as model calls see it."""

    @property
    def model_routes(self) -> ModelRoutes:
        """Which models calls go to."""
        ...

    @property
    def model_turns(self) -> ModelTurns:
        """Who waits for models."""
        ...

    @property
    def exceeding(self) -> Overruns:
        """What becomes of those who took too much."""
        ...

    @property
    def model_sparing(self) -> Sparing:
        """Which calls need not be made."""
        ...

    def endpoint_name(self, process: Process, name: str) -> str:
        """The kernel's name of what `process` means by that name."""
        ...

    def asked_model(self, process: Process, n: int, name: str) -> Model | None:
        """The model that open call `n` has its turn at; `name` is what its caller calls it."""
        ...

    def note(self, events: tuple[ev.Event, ...]) -> None:
        """Something happened on the way."""
        ...

    def piece(self, pid: int, n: int, value: bytes) -> None:
        """Call `n` gave a piece."""
        ...

    async def room(self, pid: int) -> None:
        """Return when the process's worker can take more pieces."""
        ...

    def lost(self, task: asyncio.Task[None]) -> None:
        """A task has ended; what it raised stops the kernel."""
        ...


class Answered(NamedTuple):
    """What an attempt came to: the result, what the endpoint reports, and what was asked and said."""

    value: Any
    usage: Usage
    asked: Any
    said: Any
    told: Told | None = None
    """What it says of its limits."""


class _Tries:
    """What was tried of one call."""

    def __init__(self, meant: str, needs: list[str]) -> None:
        self.meant = meant
        """The model that it names, by the kernel's name."""
        self.needs = needs
        self.made = 0
        """Attempts at the present endpoint, refusals apart."""
        self.endpoint = ""
        """Where the next is made."""
        self.failed: set[str] = set()
        """Endpoints that were tried in vain."""

    def pause_ns(self, failure: ModelFailure) -> int:
        """Before the next attempt waits for its turn."""
        if not self.made or _refused(failure):
            return 0
        return (failure.retry_after_ms or 0) * 1_000_000 or BACKOFF_NS << (self.made - 1)


class ModelEffects:
    """The effects that end at a model."""

    def __init__(self, clock: Clock, owner: Owner, contexts: ContextEffects) -> None:
        self._clock = clock
        self._owner = owner
        self._contexts = contexts
        self._began_ns: dict[tuple[int, int], int] = {}
        """The attempts that are being made."""
        self.held = False
        """No attempt is begun any more: the kernel is to stop."""

    def unfinished(self, process: Process, n: int, cause: str) -> tuple[ev.Event, ...]:
        """What is charged for the attempt that call `n` is making, when the call ends without it."""
        call = process.open.get(n)
        began_ns = self._began_ns.get((process.pid, n))
        if call is None or call.reserved is None or began_ns is None:
            return ()
        return (charge(process.pid, n, call.reserved, self._took_us(began_ns), cause),)

    def asking(self, pid: int, n: int) -> bool:
        """Whether call `n` is making an attempt, and not waiting to make one."""
        return (pid, n) in self._began_ns

    async def chat(self, process: Process, n: int, args: Any) -> Finished:
        """One answer, however many attempts it takes; streamed, where that is asked for.

        `args` are the recorded arguments, or the `Chat` that the handler found in them.
        """
        chat = args if isinstance(args, Chat) else chat_of(args)
        request, needs = chat.request, chat.needs()
        if chat.context:  # what is in it was found sound when it came there
            said = led(await self._contexts.prompt(process, chat.context), chat.instructed)
            needs = needs_in(needs, self._contexts.images(process, chat.context))
            request = msgspec.structs.replace(request, messages=[*said, *request.messages])

        stream = partial(self._pieces, process.pid, n, process.open[n].seq) if chat.stream else None
        generation, answerer, text = Generation(request, stream), "", ""

        async def once(model: Model, turn: AttemptTurn) -> Answered:
            nonlocal answerer, text
            answerer = model.name
            answer = await generation.attempt(model, turn)
            text = answer.text
            # In a context a streamed text is kept whole: its pieces are not what the chain names.
            return _answered(model, request, answer, streamed=chat.stream and not chat.context)

        try:
            finished = await self._ask(process, n, chat.model, needs, once, generation)
        finally:
            generation.drop()
        if finished.errno:
            return finished
        finished = self._owner.model_sparing.answered(process, n, text, finished)
        if not chat.context:
            return finished
        value, appended = self._contexts.answered(process, n, finished.value, answerer)
        return finished._replace(value=value, events=(*finished.events, *appended))

    async def embed(self, process: Process, n: int, args: Any) -> Finished:
        """One vector a text, as little-endian float32."""

        async def once(model: Model, turn: AttemptTurn) -> Answered:
            given = await model.embed(args.texts)
            return Answered(pack_vectors(given.vectors, len(args.texts)), given.usage, args.texts, None)

        return await self._ask(process, n, args.model, ["embeddings"], once)

    def _pieces(self, pid: int, n: int, key: int) -> Pieces:
        def record(value: bytes) -> None:
            self._owner.piece(pid, n, value)
            self._owner.model_turns.endpoints.delivered(key)

        return Pieces(self._clock, record, lambda: self._owner.room(pid), self._owner.lost)

    async def _ask(
        self, process: Process, n: int, named: str, needs: list[str],
        once: Callable[[Model, AttemptTurn], Awaitable[Answered]], generation: Generation | None = None,
    ) -> Finished:  # fmt: skip
        """Attempts, until one is answered, or no more are made. `named` is what the caller calls the model."""
        call = process.open.get(n)
        if call is None or call.reserved is None:
            return CLOSED
        pid, turns, task = process.pid, self._owner.model_turns, asyncio.current_task()
        tries: _Tries | None = None
        while process.open.get(n) is call:
            if self.held:
                await self._stand(process, n)
            model = self._owner.asked_model(process, n, named)
            if model is None:
                return _gone(named or process.model)
            reserved, used = call.reserved, CANCELLED
            turn = AttemptTurn(model, partial(turns.endpoints.turn_is_up, call.seq), task)
            ended: GaveWay | ModelFailure
            told: Told | None = None
            began_ns = self._began_ns[pid, n] = self._clock.now_ns()
            try:
                turns.giving_way.begins(call.seq, turn)
                answered = await once(model, turn)
            except GaveWay as way:
                ended, used = way, _gave_way(way)
            except asyncio.CancelledError:
                if not turn.was_taken():
                    raise
                ended = GaveWay(None, asked=True)
                used = _gave_way(ended)
            except ModelFailure as error:
                ended, used, told = error, _sent_away(error), error.told
            except Exception as error:
                ended = ModelFailure("crashed", f"the driver failed: {type(error).__name__}", retryable=False)
                used = _sent_away(ended)
            else:
                took_us, told = self._took_us(began_ns), answered.told
                before = generation.charged if generation is not None else NOTHING
                content = (answered.asked, answered.said)
                settled = settle(pid, n, reserved, model, answered.usage, content, took_us, before)
                used = Used(settled.prompt_tokens, settled.completion_tokens)
                if exceeds(settled, reserved):
                    self._owner.exceeding.overran(pid, n, settled)
                return Finished(answered.value, (settled,))
            finally:
                if self._began_ns.get((pid, n)) == began_ns:  # else the number is another call's by now
                    del self._began_ns[pid, n]
                turns.giving_way.ended(call.seq, turn)
                turns.over(call.seq, used, told)
            if process.open.get(n) is not call:
                break  # it was closed, and this attempt charged, while it failed
            charged = _charged(pid, n, call, model, ended, self._took_us(began_ns))
            if tries is None:
                tries = _Tries(self._owner.endpoint_name(process, named), needs)
            finished = await self._further(process, n, reserved, model, ended, charged, tries)
            if finished is not None:
                return finished
        return CLOSED

    async def _further(
        self, process: Process, n: int, reserved: Reservation, model: Model, ended: GaveWay | ModelFailure,
        charged: ev.ModelUsed, tries: _Tries,
    ) -> Finished | None:  # fmt: skip
        """What call `n` ends with after an attempt that has no answer; None when a further one is to be made now."""
        pid, call, turns, pause_ns = process.pid, process.open[n], self._owner.model_turns, 0
        if isinstance(ended, ModelFailure):
            if call.pieces:
                return Finished(interrupted(call.pieces, ended.kind), (charged,), errno="EMODEL")
            if ended.kind in NEEDS_A_PERSON:
                self._owner.note((charged, ev.IncidentOpened(pid, ended.kind, n)))
                # Until a person has seen to it, or it is cancelled.
                await asyncio.get_running_loop().create_future()
            if not self._goes_on(tries, reserved.endpoint, ended):
                return _unanswered(call.call, model, ended, tries.made, charged)
            pause_ns = tries.pause_ns(ended)
        self._owner.note((charged, *turns.queued_at(process, n, tries.endpoint or reserved.endpoint)))
        await turns.again(process, n, pause_ns)
        return None

    def _goes_on(self, tries: _Tries, endpoint: str, failure: ModelFailure) -> bool:
        """Whether another attempt is made after one at `endpoint`, and where."""
        tries.made += not _refused(failure)
        tries.endpoint = endpoint
        exhausted = tries.made >= limits.MODEL_ATTEMPTS_MAX or failure.kind in NOT_THERE
        if not exhausted and not failure.retryable:
            return False
        if exhausted or not self._owner.model_turns.endpoints.well(endpoint):
            tries.failed.add(endpoint)
            instead = self._owner.model_routes.next(tries.meant, endpoint, tries.needs, tries.failed)
            if instead:
                tries.endpoint, tries.made = instead, 0
            return bool(instead) or not exhausted
        return True

    def stand(self, process: Process, n: int) -> None:
        """Record that call `n` makes no attempt, so that the next kernel takes none for lost."""
        call = process.open.get(n)
        if call is not None and call.reserved is not None and call.asking:
            self._owner.note((refused(process.pid, n, call.reserved, 0, ev.HELD),))

    async def _stand(self, process: Process, n: int) -> None:
        self.stand(process, n)
        await asyncio.get_running_loop().create_future()

    def _took_us(self, began_ns: int) -> int:
        return max(0, self._clock.now_ns() - began_ns) // 1000


def _charged(
    pid: int, n: int, call: OpenCall, model: Model, ended: GaveWay | ModelFailure, took_us: int
) -> ev.ModelUsed:  # fmt: skip
    """What an attempt that has no answer is charged."""
    reserved = call.reserved
    assert reserved is not None
    if isinstance(ended, ModelFailure):
        worked = ended.kind in MAY_HAVE_WORKED or call.pieces
        return (charge if worked else refused)(pid, n, reserved, took_us, ended.kind)
    if ended.used is not None:
        return put_aside(pid, n, reserved, model, ended.used, took_us)
    return charge(pid, n, reserved, took_us, ev.PREEMPTED)


def _gave_way(gave: GaveWay) -> Used:
    cause = "preempted" if gave.asked else "turn_is_up"
    return Used(cause=cause) if gave.used is None else Used(gave.used.prompt_tokens, gave.used.completion_tokens, cause)


def _unanswered(call: str, model: Model, failure: ModelFailure, attempts: int, charged: ev.ModelUsed) -> Finished:
    detail = {"cause": failure.kind, "call": call, "attempts": attempts}
    said = f"the model {model.name!r} did not answer: {failure.message}"
    return Finished([said, detail], (charged,), errno="EMODEL")


def _refused(failure: ModelFailure) -> bool:
    """Whether the endpoint sent the call away for now, and is well: it waits for its turn again, at the pace that the
    endpoint allows. One that says that it is overloaded, and not for how long, fails."""
    return failure.kind == "rate_limited" or (failure.kind == "overloaded" and failure.retry_after_ms is not None)


def _sent_away(failure: ModelFailure) -> Used:
    after_ms = failure.retry_after_ms
    return Used(cause=failure.kind, retry_after_ns=None if after_ms is None else after_ms * 1_000_000)


def _gone(name: str) -> Finished:
    return Finished([f"there is no model {name!r} any more", {}], errno="ENOENT")


def _answered(model: Model, request: ModelRequest, answer: ModelAnswer, *, streamed: bool) -> Answered:
    """The answer as its caller gets it; where it was streamed, without the text that came in pieces.

    Raises ModelFailure, `garbage`, where it is no text.
    """
    calls = msgspec.to_builtins(answer.tool_calls)
    value = {
        "text": "" if streamed else answer.text,
        "finish": answer.finish,
        "tool_calls": calls,
        "usage": msgspec.to_builtins(answer.usage),
        "model": answer.model or model.name,
    }
    try:
        pack([value, answer.text])  # as it will be
    except (UnicodeEncodeError, OverflowError):
        raise ModelFailure("garbage", "the answer is not text", retryable=False) from None
    return Answered(
        value, answer.usage, request.messages, [answer.text, calls] if answer.text or calls else None, answer.told
    )


def pack_vectors(vectors: list[list[float]], count: int) -> list[bytes]:
    """Vectors as little-endian float32. Raises ModelFailure, `garbage`, when they are not what was asked for."""
    if not vectors or len(vectors) != count or len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
        raise ModelFailure("garbage", "not one vector of one length a text", retryable=True)
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise ModelFailure("garbage", "a vector has a number that is none", retryable=True)
    try:
        return [struct.pack(f"<{len(vector)}f", *vector) for vector in vectors]
    except (OverflowError, struct.error):
        raise ModelFailure("garbage", "a vector has a number out of range", retryable=True) from None
