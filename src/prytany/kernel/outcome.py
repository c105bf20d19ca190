"""What a handler answers with: events, and either a result or the intent of one. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.memory.contexts import Contexts
from prytany.ports.model import Model
from prytany.process.process import Process
from prytany.process.table import Table


class Done(msgspec.Struct, frozen=True):
    """Decided at once. `contents` are what the events name."""

    result: Any = None
    before: tuple[ev.Event, ...] = ()
    after: tuple[ev.Event, ...] = ()
    contents: tuple[bytes, ...] = ()
    shared: tuple[bytes, ...] = ()


class Opened(msgspec.Struct, frozen=True):
    """Recorded as an intent; an effect or another event closes it."""

    subject: int = 0
    after: tuple[ev.Event, ...] = ()
    """What else was decided of it, in the same entry."""


class Ended(msgspec.Struct, frozen=True):
    """The call has no answer."""

    events: tuple[ev.Event, ...]
    contents: tuple[bytes, ...] = ()


Outcome = Done | Opened | Ended


class Program(NamedTuple):
    """A program that was found: where, its text, and what it declares of itself."""

    program: str
    name: str
    source: bytes
    pledge: tuple[str, ...]


class Context(Protocol):
    """What a handler may look at."""

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    @property
    def contexts(self) -> Contexts:
        """Every process's contexts."""
        ...

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        ...

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        ...

    def find_program(self, target: str, beside: str) -> Program:
        """Resolve a program's name; raises Enoent."""
        ...

    def environment(self, python: str) -> str:
        """What the environment of an interpreter is now; "" for the kernel's own interpreter."""
        ...

    def model(self, name: str) -> Model | None:
        """The model of that name ("" is the default), for what it says of itself; a handler asks it nothing."""
        ...

    def unfinished(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What a model call that ends now, without its answer, is charged for what it was doing."""
        ...

    def content_of(self, pid: int) -> bytes:
        """What a terminated process left, packed."""
        ...


Handler = Callable[[Context, Process, int, Any], Outcome]
