"""One turn of a generation in a slot of llama.cpp: begun or gone on with, until it ends or is put aside.

It is cut after a token that shows by its coming that the one before is in the slot's cache; that token is not
delivered, and is generated again. So what is saved has everything that was delivered, and the next turn computes one
token as an uncut generation would.

A turn that goes on gives the server the tokens themselves. Where a JSON Schema binds the answer, the server has to know
how far in it the answer is, so it is given the text, as an answer that was begun; that is the same as long as the text
is split into the same tokens. The text is also what is left where nothing could be saved.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from prytany.drivers.models.failures import failure
from prytany.drivers.models.local_endpoint import Chunk, LlamaEndpoint
from prytany.drivers.models.local_saves import Saved, Saves
from prytany.drivers.models.local_slots import Slot
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, Usage
from prytany.ports.turns import NOTHING, Aside, Turn

SAVE_MS = 10_000
"""For a slot to be free, which takes a batch of somebody else's prompt, and to be written or read."""
ANSWER_MS = 5_000
SEED_MASK = 0x7FFF_FFFF


class Counts(msgspec.Struct):
    """What the slots did, since the driver began."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of these, what a slot held already, so that it was not computed."""
    hits: int = 0
    """Calls whose prompt a slot held, in part or whole."""
    put_aside: int = 0
    saved: int = 0
    restored: int = 0
    recomputed: int = 0
    """Goings on that found neither slot nor file."""


class LocalAside(Aside):
    """What the next turn goes on from."""

    def __init__(self, text: str = "", usage: Usage = NOTHING, *, tenant: int = 0) -> None:
        super().__init__(text, usage)
        self.tenant = tenant
        self.owner: object = None
        """The model whose tokens they are."""
        self.mark = object()
        """By which a slot knows that it still holds this."""
        self.saved: Saved | None = None
        self.tokens: list[int] = []
        """The prompt's and the delivered ones; empty where they are not known, or are of no use."""
        self.raw = text
        """What the tokens are written as: the text, and what a template puts around it."""
        self._drop: weakref.finalize[..., Any] | None = None

    def kept(self, saved: Saved, saves: Saves) -> None:
        """It has a file from now on, which goes with it."""
        self.saved = saved
        self._drop = weakref.finalize(self, saves.drop, saved.name)
        self._drop.atexit = False

    def drop(self) -> None:
        """It is wanted no more."""
        self.saved = None
        if self._drop is not None:
            self._drop()


class Generation:
    """One turn in `slot`, which is taken; see the module.

    Args:
        request: as `local_schema.prepare` gives it.
        before: what it goes on from; an empty one for a generation that begins.
    """

    def __init__(
        self,
        endpoint: LlamaEndpoint,
        request: ModelRequest,
        slot: Slot,
        before: LocalAside,
        saves: Saves,
        counts: Counts,
    ) -> None:
        self._endpoint = endpoint
        self._request = request
        self._slot = slot
        self._before = before
        self._saves = saves
        self._counts = counts
        self._text = before.text
        self._prompt = before.usage.prompt_tokens
        self._generated = before.usage.completion_tokens
        self.doubtful = False
        """The server did not answer in time."""

    async def run(self, turn: Turn, asked: asyncio.Event) -> AsyncGenerator[str | ModelAnswer | LocalAside, None]:
        """Pieces, and the answer or what was put aside; `asked` is set when the turn is to end."""
        chunks = self._chunks(await self._prepare())
        begun = self._generated
        last: Chunk | None = None
        counted = False
        async with aclosing(chunks):
            while True:
                chunk = await (anext(chunks) if turn.tokens else _next(chunks, asked))
                if chunk is None or (asked.is_set() and not chunk.finish and (chunk.text or not self._text)):
                    break
                if not counted and chunk.generated:
                    counted = True
                    self._read(chunk)
                if chunk.finish:
                    last = chunk
                    break
                if chunk.text:
                    self._text += chunk.text
                    self._generated = begun + chunk.generated
                    yield chunk.text
                    turn.generated(chunk.generated)
        if last is not None:
            self._before.drop()
            usage = Usage(self._prompt, begun + last.generated, 0)
            yield ModelAnswer(self._text, last.finish, [], usage)
        elif self._generated == begun and self._before.saved is not None:
            self._slot.mark = self._before.mark
            yield self._before
        else:
            yield await self._put_aside()

    def _read(self, chunk: Chunk) -> None:
        """The prompt was read."""
        self._counts.calls += 1
        self._counts.prompt_tokens += chunk.prompt
        self._counts.cached_tokens += chunk.cached
        self._counts.hits += chunk.cached > 0
        if not self._prompt:
            self._prompt = chunk.prompt

    async def _prepare(self) -> dict[str, Any]:
        """Let the slot hold what it can; the fields that say which it is, and whether what it holds is used."""
        before, slot = self._before, self._slot
        uses = slot.keeps
        if before.saved is not None or before.text:
            if slot.mark is before.mark or await self._restore():
                uses = True
            else:
                uses = slot.keeps
                self._counts.recomputed += 1
        return {"id_slot": slot.number, "cache_prompt": uses}

    async def _restore(self) -> bool:
        before = self._before
        saved, before.saved = before.saved, None  # what fells the server is not restored again
        if saved is None or not self._saves.used(saved.name):
            return False
        if await asyncio.to_thread(self._saves.is_whole, saved):
            try:
                async with asyncio.timeout(SAVE_MS / 1_000):
                    await self._endpoint.restore(self._slot.number, saved.name)
            except TimeoutError:
                self.doubtful = True
                if not await self._endpoint.answers(ANSWER_MS):
                    before.drop()
                    raise failure("crashed", "the local model hung as it restored a slot") from None
            except ModelFailure as error:
                if error.kind in ("interrupted", "unreachable"):
                    before.drop()
                    raise
            else:
                before.saved = saved
                self._counts.restored += 1
                return True
        before.drop()
        self._slot.keeps = False
        return False

    def _chunks(self, slot: dict[str, Any]) -> AsyncGenerator[Chunk, None]:
        before, request = self._before, self._request
        if not before.text:
            return self._endpoint.chat_chunks(request, slot)
        left = request.max_tokens - self._generated
        seed = None if request.seed is None else (request.seed + self._generated) & SEED_MASK
        request = msgspec.structs.replace(request, max_tokens=left, seed=seed)
        if before.tokens:
            return self._endpoint.token_chunks(request, before.tokens, slot)
        extra = {**request.extra, "chat_template_kwargs": {"enable_thinking": False}}
        messages = begun_answer(request.messages, before.raw)
        return self._endpoint.chat_chunks(msgspec.structs.replace(request, messages=messages, extra=extra), slot)

    async def _put_aside(self) -> LocalAside:
        slot, delivered = self._slot, self._text
        usage = Usage(self._prompt, self._generated, 0)
        aside = LocalAside(delivered, usage, tenant=self._before.tenant)
        aside.owner = self._before.owner
        aside.raw = self._before.raw + delivered[len(self._before.text) :]
        self._counts.put_aside += 1
        name = self._saves.name(aside.tenant)
        try:
            async with asyncio.timeout(SAVE_MS / 1_000):
                size = await self._endpoint.save(slot.number, name)
                saved = await asyncio.to_thread(self._saves.read, name, size)
                if delivered:
                    await self._tell_tokens(aside, saved)
        except (ModelFailure, OSError, ValueError) as error:
            self.doubtful = isinstance(error, TimeoutError)
            self._saves.doubt(name)
            return aside
        except BaseException:
            self._saves.doubt(name)
            raise
        self._before.drop()
        if self._saves.keep(saved):
            aside.kept(saved, self._saves)
            self._counts.saved += 1
        slot.mark = aside.mark
        return aside

    async def _tell_tokens(self, aside: LocalAside, saved: Saved) -> None:
        """Which tokens of the slot's are those that were delivered, and what they are written as.

        Not where an answer was gone on with from its text: that was split into tokens anew, and counts otherwise.
        """
        end = self._prompt + self._generated
        if len(saved.tokens) < end or (self._before.text and not self._before.tokens):
            return
        raw = await self._endpoint.text_of(list(saved.tokens[self._prompt : end]))
        if raw.endswith(aside.text):
            aside.raw = raw
            aside.tokens = [] if self._request.schema is not None else list(saved.tokens[:end])


def begun_answer(messages: list[dict[str, Any]], raw: str) -> list[dict[str, Any]]:
    """The conversation with the beginning of the answer, which llama.cpp goes on with."""
    last = messages[-1] if messages else {}
    if last.get("role") == "assistant" and isinstance(last.get("content"), str):
        return [*messages[:-1], {**last, "content": last["content"] + raw}]
    return [*messages, {"role": "assistant", "content": raw}]


async def _next(chunks: AsyncGenerator[Chunk, None], asked: asyncio.Event) -> Chunk | None:
    """The next chunk, or None as soon as `asked` is set, which ends the request."""
    reading = asyncio.ensure_future(anext(chunks))
    waiting = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else None
    finally:
        waiting.cancel()
        if not reading.done():
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
