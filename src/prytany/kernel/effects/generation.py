"""One chat over all its attempts: what of it was delivered, what was put aside, and who is told to give way.

An attempt at a model whose slots can be saved is a turn (`ports.turns`): it is put aside, and the next goes on from
there. Any other that is to give way is ended, and what it generated is lost.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from prytany.kernel.effects.stream import Pieces
from prytany.kernel.models.giving_way import AttemptTurn, GaveWay
from prytany.ports.model import Model, ModelAnswer, ModelFailure, ModelRequest, Usage
from prytany.ports.turns import Aside, takes_turns

NOTHING = Usage()


class Generation:
    """See the module.

    Args:
        request: what is asked.
        stream: makes the way of a streamed answer to its process; None for one that is given whole.
    """

    def __init__(self, request: ModelRequest, stream: Callable[[], Pieces] | None) -> None:
        self.request = request
        self.charged = NOTHING
        """What it took in turns before."""
        self._stream = stream
        self._pieces: Pieces | None = None
        self._aside: Aside | None = None

    async def attempt(self, model: Model, turn: AttemptTurn) -> ModelAnswer:
        """One attempt; the whole answer, with the usage of all turns. Raises ModelFailure, GaveWay."""
        if self._aside is not None and not takes_turns(model):
            self.drop()  # another model has taken its place, and begins anew
            self.charged = NOTHING
            if self._pieces is not None and self._pieces.text:
                raise ModelFailure("interrupted", "the model was changed in the midst of the answer", retryable=False)
        if self._aside is None and self._stream is not None:
            self._pieces = self._stream()  # nothing was delivered in an attempt before
        pieces = self._pieces
        try:
            answer = await self._answer(model, turn)
            if isinstance(answer, Aside):
                raise self._put_aside(answer, turn)
            if pieces is not None and answer.text.startswith(pieces.text):
                await pieces.add(answer.text[len(pieces.text) :])
        except Exception:
            if pieces is not None:
                pieces.flush()
            raise
        finally:
            if pieces is not None:
                pieces.close()
        if pieces is not None:
            pieces.flush()
        return answer

    def _answer(self, model: Model, turn: AttemptTurn) -> Awaitable[ModelAnswer | Aside]:
        if takes_turns(model):
            turn.aside = self._aside
            return self._last(model.turn(self.request, turn))
        if self._pieces is not None and model.features.streaming:
            return self._last(model.stream(self.request))
        return model.chat(self.request)

    async def _last(self, items: AsyncGenerator[str | ModelAnswer | Aside, None]) -> ModelAnswer | Aside:
        """What a stream ends with; its pieces are on their way. Raises ModelFailure."""
        last: ModelAnswer | Aside | None = None
        async with aclosing(items):
            async for item in items:
                if not isinstance(item, str):
                    last = item
                elif self._pieces is not None:
                    await self._pieces.add(item)
        if last is None:
            raise ModelFailure("interrupted", "the stream ended without its answer", retryable=True)
        return last

    def _put_aside(self, aside: Aside, turn: AttemptTurn) -> GaveWay:
        whole, before = aside.usage, self.charged
        self._aside, self.charged = aside, whole
        cost = None if whole.cost_usd_micros is None else whole.cost_usd_micros - (before.cost_usd_micros or 0)
        used = Usage(
            whole.prompt_tokens - before.prompt_tokens, whole.completion_tokens - before.completion_tokens, cost
        )
        return GaveWay(used, asked=turn.asked)

    def drop(self) -> None:
        """What was put aside is wanted no more."""
        if self._aside is not None:
            self._aside.drop()
            self._aside = None
