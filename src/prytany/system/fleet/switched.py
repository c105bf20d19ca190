"""A model of a fleet as the kernel knows it: the driver behind it can be replaced while it is asked.

A request ends at the driver at which it began; the next one, a further attempt of the same call among them, is made at
the new one. A driver is closed when no model has it and nothing is asked of it any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from prytany.ports.model import (
    Embedded,
    Model,
    ModelAnswer,
    ModelFailure,
    ModelFeatures,
    ModelLimits,
    ModelRequest,
    ModelRoute,
    Prices,
    Usage,
)
from prytany.ports.turns import Aside, Turn, takes_turns
from prytany.system.fleet.form import Model as Form


class Opened:
    """A driver, and what it was opened by: the same is not opened again."""

    def __init__(self, model: Model, form: Form, key: str | None, stamp: object) -> None:
        """`form` is without what can change around a driver; `stamp` is of the file behind it."""
        self.model = model
        self.by = (form, key, stamp)
        self._users = 0
        self._closing: asyncio.Task[None] | None = None

    @property
    def asked(self) -> bool:
        """Whether somebody has it, or it is not closed yet."""
        return self._users > 0 or (self._closing is not None and not self._closing.done())

    def take(self) -> None:
        """One more has it, or asks it."""
        self._users += 1

    def leave(self) -> None:
        """One fewer; with the last one it is closed."""
        self._users -= 1
        if not self._users and self._closing is None:
            self._closing = asyncio.ensure_future(self.model.close())

    async def left(self) -> None:
        """One fewer, who returns when it is closed, where that closes it."""
        self.leave()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def close(self) -> None:
        """Close it where nobody has it, or whoever has it; return when that is done."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self.model.close())
        await asyncio.shield(self._closing)  # who waits may be cancelled, and others wait for the same


class Terms(msgspec.Struct, frozen=True):
    """What can change around a driver: what an operator says, 0 and "" where that is nothing."""

    concurrency: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    policy: str = ""
    preempts: str = ""
    prices: Prices | None = None
    """Of a driver that knows of none itself."""
    routes: tuple[ModelRoute, ...] = ()
    fallback: tuple[str, ...] = ()
    coalesce: bool = False
    answers_bytes: int = 0
    same_at_zero: bool = False

    def around(self, found: ModelFeatures) -> ModelFeatures:
        """What a driver can do, with what is said of it. As much as it can work on at once is asked of it, at most."""
        own = found.limits
        limits = ModelLimits(
            min(filter(None, (self.concurrency, own.concurrency, found.slots)), default=0),
            self.requests_per_minute or own.requests_per_minute,
            self.tokens_per_minute or own.tokens_per_minute,
            self.policy or own.policy,
            self.preempts or own.preempts,
            self.coalesce or own.coalesce,
            self.answers_bytes or own.answers_bytes,
            self.same_at_zero or own.same_at_zero,
        )
        return msgspec.structs.replace(
            found, limits=limits, routes=self.routes, fallback=self.fallback, prices=self.prices or found.prices
        )


class SwitchedModel:
    """See the module."""

    def __init__(self, opened: Opened, terms: Terms) -> None:
        opened.take()
        self.opened = opened
        self.terms = terms
        self._features: tuple[ModelFeatures, Terms, ModelFeatures] | None = None
        """The driver's, what is said around it, and both together: asked for several times a call."""
        self._before: list[Opened] = []
        self._edition = self._inside = 0
        self._left = asyncio.Event()

    def switch(self, opened: Opened, terms: Terms) -> None:
        """What is asked from now on is asked of `opened`."""
        if opened is not self.opened:
            before, self.opened, self._features = self.opened, opened, None
            self._edition += 1
            opened.take()
            before.leave()
            self._before = [*(one for one in self._before if one.asked), before]
        self.terms = terms

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self.opened.model.name

    @property
    def features(self) -> ModelFeatures:
        """What it can do."""
        found, terms = self.opened.model.features, self.terms
        known = self._features
        if known is None or known[0] is not found or known[1] is not terms:
            around = msgspec.structs.replace(terms.around(found), edition=self._edition)
            known = self._features = found, terms, around
        return known[2]

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        opened = self._enter()
        prices = self.terms.prices
        try:
            return _priced(await opened.model.chat(request), prices)
        finally:
            self._leave(opened)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; raises ModelFailure."""
        opened = self._enter()
        prices = self.terms.prices
        try:
            async with aclosing(opened.model.stream(request)) as pieces:
                async for piece in pieces:
                    yield _priced(piece, prices) if isinstance(piece, ModelAnswer) else piece
        finally:
            self._leave(opened)

    async def turn(self, request: ModelRequest, turn: Turn) -> AsyncGenerator[str | ModelAnswer | Aside, None]:
        """Until the turn ends, of a model that takes turns; raises ModelFailure."""
        opened = self._enter()
        prices = self.terms.prices
        try:
            if not takes_turns(
                opened.model
            ):  # another model has taken its place: what is put aside is of the one before
                raise ModelFailure("overloaded", "the model was changed, and takes no turns", retryable=True)
            async with aclosing(opened.model.turn(request, turn)) as items:
                async for item in items:
                    if isinstance(item, Aside) and prices is not None:
                        item.usage = _cost(item.usage, prices)
                    yield _priced(item, prices) if isinstance(item, ModelAnswer) else item
        finally:
            self._leave(opened)

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text; raises ModelFailure."""
        opened = self._enter()
        prices = self.terms.prices
        try:
            given = await opened.model.embed(texts)
        finally:
            self._leave(opened)
        return given if prices is None else msgspec.structs.replace(given, usage=_cost(given.usage, prices))

    async def close(self) -> None:
        """Let go of connections and processes, of the drivers before too."""
        for opened in (*self._before, self.opened):
            await opened.close()

    async def let_go(self) -> None:
        """Return when nobody asks it, which a driver bounds, and nothing is open that no other model has."""
        while self._inside:
            self._left.clear()
            await self._left.wait()
        await self.opened.left()

    def _enter(self) -> Opened:
        """The driver as it is now, which stays open until it is left."""
        self._inside += 1
        self.opened.take()
        return self.opened

    def _leave(self, opened: Opened) -> None:
        opened.leave()
        self._inside -= 1
        if not self._inside:
            self._left.set()


def _priced(answer: ModelAnswer, prices: Prices | None) -> ModelAnswer:
    return answer if prices is None else msgspec.structs.replace(answer, usage=_cost(answer.usage, prices))


def _cost(usage: Usage, prices: Prices) -> Usage:
    return msgspec.structs.replace(usage, cost_usd_micros=prices.cost_usd_micros(usage))
