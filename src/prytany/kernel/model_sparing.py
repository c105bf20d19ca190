"""Calls of models that need not be made: the same is being asked, or was asked before (decision 132).

    intent ─▶ an answer is kept? ─ yes ─▶ `model.queued`, and at once the end of the call, with `model.spared`
                 └─ no ─▶ the same is under way? ─ yes ─▶ `model.queued`; it ends after the other, in the same way
                                └─ no ─▶ its turn, as ever; its answer is kept, and given to all that wait for it

Only where the model's operator opted in, for calls of which any answer will do for all: the model is deterministic, or
the operator says so of temperature 0; no tools are offered; and the caller did not say `fresh`. Never across tenants.

A call that is spared is recorded as one that waits for its turn, until its end says how it was answered: a kernel that
dies in between leaves a call that waits, which the next one asks by itself. Nothing is set aside for it, or charged.
A streamed call waits for no other, since that would take its stream from it; a kept answer comes to it as one piece.

What is kept is in memory and names content of the journal, where `model.kept` says whose it is: it is gone with that
process's content, with the kernel, and where the operator puts another model in the place of this one.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.abi.values import pack
from prytany.abi.wire import UNREADABLE
from prytany.kernel.effects.finished import Finished
from prytany.kernel.handlers.context import Keeper, answer_in
from prytany.kernel.ledger import TENANT, Ledger
from prytany.kernel.models.asking import Asking, Given
from prytany.kernel.models.requests import Chat
from prytany.kernel.models.turns import ModelTurns, Turn
from prytany.memory.context import Head
from prytany.ports.model import Model
from prytany.ports.store import StoreError
from prytany.process.process import Process
from prytany.process.table import Table
from prytany.scheduling.answers import Answer, Answers

FOR_ALL = frozenset({"stop", "length"})
"""How an answer ended that is the same for whoever asks. A filter may think better of it."""
KEPT_BYTES_MAX = limits.RESULT_BYTES_MAX // 2
"""Of one answer: what a context adds to it has to find room."""


class Spared(msgspec.Struct):
    """What was spared at one endpoint since the kernel began."""

    kept: int = 0
    """Calls that a kept answer answered."""
    missed: int = 0
    """Calls that none was kept for."""
    twins: int = 0
    """Calls that another's answer answered."""
    tokens: int = 0
    """That all of these would have taken."""
    cost_usd_micros: int = 0
    held: int = 0
    """Answers that are kept now, and their bytes."""
    held_bytes: int = 0


class Book:
    """What is kept of one endpoint, and what was spared there."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self.edition = 0
        self.number = 0
        """Of the model that is asked there; another one's answers are others."""
        self.answers = Answers(0)
        self.answers_bytes = 0
        self.twins = self.twin_tokens = self.cost_usd_micros = 0


class Core(Keeper, Protocol):
    """The kernel, as sparing sees it."""

    ledger: Ledger
    model_turns: ModelTurns

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content. Raises Eio when it was forgotten."""
        ...

    def complete(self, pid: int, n: int, errno: str, value: bytes, made: Finished) -> None:
        """Call `n` has its result."""
        ...


class ModelSparing:
    """See the module. A call at an endpoint whose operator did not opt in costs one look."""

    def __init__(self, kernel: Core) -> None:
        self._k = kernel
        self._books: dict[str, Book] = {}
        self._numbers = 0

    # To be seen.

    def spared(self, endpoint: str) -> Spared:
        """What was spared there since the kernel began."""
        book = self._books.get(endpoint)
        if book is None:
            return Spared()
        answers = book.answers
        return Spared(
            answers.hits, answers.misses, book.twins, answers.spared + book.twin_tokens, book.cost_usd_micros,
            len(answers), answers.bytes,
        )  # fmt: skip

    def waits_for(self, process: Process, n: int) -> tuple[int, int] | None:
        """Whose answer open call `n` waits for: process and number; None where it waits for no other call."""
        scheduler = self._k.model_turns.scheduler
        asked = scheduler.get(scheduler.asked_for(process.open[n].seq)) if n in process.open else None
        return None if asked is None else (asked.call.agent, asked.n)

    # What happens.

    def ask(
        self, process: Process, n: int, chat: Chat, head: Head | None, most: ev.ModelReserved, needs: list[str]
    ) -> Turn:  # fmt: skip
        """What becomes of a chat that is being made; as `ModelTurns.ask`, and nothing is changed that is not counted.

        Args:
            process: who makes it.
            n: its number.
            chat: what is asked.
            head: of the context that it is asked in, if it is.
            most: the most that it can take.
            needs: features without which a model is no use to it.
        """
        turns, model = self._k.model_turns, self._k.endpoint(most.endpoint)
        if model is None or not _may(model, chat):
            return turns.ask(process, n, most, needs)
        book = self._book(most.endpoint, model)
        name = self._name(book, most.endpoint, chat, head)
        joined = model.features.limits.coalesce and not chat.stream and not chat.fresh
        asking = Asking(most.endpoint, book.number, name, name if joined else b"", chat)
        if book.answers_bytes and not chat.fresh:
            asking.found = self._find(book, name)
            if asking.found is not None:
                return turns.spared(process, n, most, asking)
        return turns.ask(process, n, most, needs, asking)

    def made(self, turn: Turn, key: int) -> None:
        """That is recorded, of the call that entry `key` opened."""
        asking = turn.asking
        if asking is None or asking.found is None:
            self._k.model_turns.made(turn, key)
            return
        self._give(turn.wanted.call.agent, turn.wanted.n, key, asking, asking.found, ev.KEPT)

    def answered(self, process: Process, n: int, text: str, finished: Finished) -> Finished:
        """An endpoint answered call `n`, with the whole `text`; gives what is recorded with its end."""
        call = process.open.get(n)
        asking = self._k.model_turns.asking.get(call.seq) if call is not None else None
        if call is None or asking is None or call.reserved is None:
            return finished
        [used] = (event for event in finished.used if isinstance(event, ev.ModelUsed))
        value = {**finished.value, "text": text}
        if value["tool_calls"] or value["finish"] not in FOR_ALL:
            return finished
        given = Given(value, used.prompt_tokens + used.completion_tokens, used.cost_usd_micros)
        asking.answer = given
        book, packed = self._books[asking.endpoint], pack(value)
        if len(packed) > min(KEPT_BYTES_MAX, book.answers_bytes) or not self._is_still(book, asking, used.endpoint):
            return finished
        digest = self._k.digest(packed)
        asking.answer = msgspec.structs.replace(given, kept=digest, size_bytes=len(packed))
        kept = ev.ModelKept(process.pid, n, used.endpoint, digest)
        return finished._replace(events=(kept, *finished.events), contents=(packed, *finished.contents))

    def closed(self, pid: int, n: int, seq: int, errno: str) -> None:
        """Entry `seq`, which is durable, ended call `n`. Those who wait for its answer get it."""
        turns = self._k.model_turns
        if not turns.asking:
            return
        key = turns.key_of(pid, n)
        asking = turns.asking.get(key)
        if asking is None or (given := asking.answer) is None:
            return
        if given.kept and not errno:
            answer = Answer(given.kept, given.size_bytes, given.tokens, pid, seq, given.cost_usd_micros)
            self._books[asking.endpoint].answers.keep(TENANT, asking.name, answer)
        for wanted in turns.scheduler.taken(key):
            waits = turns.asking.get(wanted.call.key)
            if waits is not None:
                self._give(wanted.call.agent, wanted.n, wanted.call.key, waits, given, ev.TWIN)

    def forgotten(self, pid: int) -> None:
        """The content of a process is destroyed."""
        for book in self._books.values():
            book.answers.forget(TENANT, pid)

    # Within.

    def _book(self, endpoint: str, model: Model) -> Book:
        """What is kept of an endpoint: nothing, where the operator put another model there or bounds it otherwise."""
        book = self._books.get(endpoint)
        if book is None:
            book = self._books[endpoint] = Book()
        answers_bytes = model.features.limits.answers_bytes
        if not _is_of(book, model) or book.answers_bytes != answers_bytes:
            self._numbers += 1
            book.model, book.edition = model, model.features.edition
            book.number, book.answers_bytes = self._numbers, answers_bytes
            book.answers.clear(answers_bytes)
        return book

    def _is_still(self, book: Book, asking: Asking, answered_by: str) -> bool:
        """Whether a call was answered by the model that it was to ask."""
        model = self._k.endpoint(asking.endpoint)
        still = model is not None and _is_of(book, model) and book.number == asking.number
        return still and answered_by == asking.endpoint

    def _name(self, book: Book, endpoint: str, chat: Chat, head: Head | None) -> bytes:
        """The digest of all that an answer depends on. Contexts are the same where they are forks of one."""
        r = chat.request
        before = head.node if head is not None and head.length else b""
        asked = [r.messages, r.max_tokens, r.temperature, r.seed, r.stop, r.schema]
        if chat.instructed is not None:
            asked.append(chat.instructed)
        return self._k.digest(pack(["same call", endpoint, book.number, before, asked]))

    def _find(self, book: Book, name: bytes) -> Given | None:
        """The answer that is kept, if what it names is still there."""
        found = book.answers.find(TENANT, name)
        if found is None:
            return None
        try:
            value = msgspec.msgpack.decode(self._k.content(found.digest, found.seq), type=dict[str, Any])
        except (KernelError, StoreError, *UNREADABLE):
            book.answers.lost(TENANT, name)
            return None
        return Given(value, found.tokens, found.cost_usd_micros)

    def _give(self, pid: int, n: int, key: int, asking: Asking, given: Given, by: str) -> None:
        """Open call `n` ends with an answer that it did not ask for."""
        process = self._k.table.get(pid)
        call = process.open.get(n) if process is not None else None
        if process is None or call is None or call.seq != key or call.reserved is None:
            return  # it ended, and that is not durable yet
        chat, value, model = asking.chat, given.value, call.reserved.model
        events: tuple[ev.Event, ...] = ()
        contents: tuple[bytes, ...] = ()
        if chat.stream and value["text"]:
            contents = (pack(value["text"]),)
            events = (ev.CallPiece(pid, n, self._k.digest(contents[0]), process.tail),)
        if chat.context:
            value, appended = answer_in(self._k, process, n, value, ev.Source("model", model))
            events += appended
        elif chat.stream:
            value = {**value, "text": ""}
        spared = ev.ModelSpared(pid, n, model, asking.endpoint, by, given.tokens, given.cost_usd_micros)
        self._count(asking.endpoint, given, by)
        self._k.complete(pid, n, "", pack(value), Finished(None, (spared,), events, contents=contents))

    def _count(self, endpoint: str, given: Given, by: str) -> None:
        book = self._books[endpoint]
        book.cost_usd_micros += given.cost_usd_micros
        if by == ev.TWIN:
            book.twins += 1
            book.twin_tokens += given.tokens


def _is_of(book: Book, model: Model) -> bool:
    return book.model is model and book.edition == model.features.edition


def _may(model: Model, chat: Chat) -> bool:
    """Whether any answer to the call will do for all who ask the same, as far as its operator opted in."""
    features, request = model.features, chat.request
    said = features.limits
    if not (said.answers_bytes or said.coalesce) or request.tools or request.extra:
        return False
    return features.deterministic or (said.same_at_zero and request.temperature == 0)
