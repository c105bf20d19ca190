"""What a handler answers with: events, and either a result or the intent of one. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.ipc.mailbox import Post
from prytany.kernel.models.requests import Chat
from prytany.kernel.models.routes import ModelRoutes
from prytany.kernel.models.turns import ModelTurns, Turn
from prytany.kernel.quotas import Quotas
from prytany.kernel.state import ShardState
from prytany.kernel.toolbox import Toolbox
from prytany.memory.context import Head
from prytany.memory.contexts import Contexts
from prytany.ports.model import Model
from prytany.process.process import Process
from prytany.process.table import Table
from prytany.scheduling.budgets import Budgets
from prytany.scheduling.turns import Turns
from prytany.supervision.fleets import Fleets


class Done(msgspec.Struct, frozen=True, gc=False):
    """Decided at once. `contents` are what the events name."""

    result: Any = None
    before: tuple[ev.Event, ...] = ()
    after: tuple[ev.Event, ...] = ()
    contents: tuple[bytes, ...] = ()
    shared: tuple[bytes, ...] = ()
    spare: bool = False
    """The events hold what the arguments said: their content need not be kept as well."""


class Opened(msgspec.Struct, frozen=True, gc=False):
    """Recorded as an intent; an effect or another event closes it."""

    subject: int = 0
    after: tuple[ev.Event, ...] = ()
    """What else was decided of it, in the same entry."""
    contents: tuple[bytes, ...] = ()
    work: Any = None
    """What the effect begins with, where that is more than the decoded arguments; it follows from them alone."""
    turn: Turn | None = None
    """Of a model's: the scheduler is told of it once it is recorded."""
    spare: bool = False
    """As of what is done at once; the effect begins, after a crash too, with the subject alone."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The call has no answer."""

    events: tuple[ev.Event, ...]
    contents: tuple[bytes, ...] = ()


Outcome = Done | Opened | Ended


class Denied(Exception):
    """A handler found that the caller may not: the call is recorded and counted as the gate's denials are."""


class Program(NamedTuple):
    """A program that was found: where, its text, and what it declares of itself."""

    program: str
    name: str
    source: bytes
    pledge: tuple[str, ...]
    serves: bool = False
    """It is a `Server`: it can move to a new version at a message boundary."""


class Programs(Protocol):
    """Where programs are found."""

    def known(self, target: str, beside: str, *, closed: Sequence[str] = ()) -> Program | None:
        """A program that was looked up before and is as it was; None for one that has to be read. Raises Eacces."""
        ...

    async def look_up(self, target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
        """A program as it is on disk now, or in what was `recorded` of the one `beside`. Raises Enoent, Eacces."""
        ...


class Paces(Protocol):
    """Bytes a second, as handlers see it."""

    def ask(self, process: Process, n: int, taken: Any, *, brings: bool) -> tuple[ev.Event, ...]:
        """What is recorded of a call that takes `taken`, and may bring something: nothing where it begins now."""
        ...


class Sessions(Protocol):
    """Sessions, as handlers see them."""

    def ending(self, number: int) -> bool:
        """Whether there is one of that number that is being ended."""
        ...


class Sparing(Protocol):
    """Which calls of models need not be made: `model_sparing`, as handlers see it."""

    def ask(
        self, process: Process, n: int, chat: Chat, head: Head | None, most: ev.ModelReserved, needs: list[str]
    ) -> Turn:  # fmt: skip
        """What becomes of a chat that is being made. Raises Eagain: too many wait."""
        ...

    def made(self, turn: Turn, key: int) -> None:
        """That is recorded, of the call that entry `key` opened."""
        ...


class Context(Protocol):
    """What a handler may look at."""

    @property
    def state(self) -> ShardState:
        """All rooms; those that are looked at often have names of their own here."""
        ...

    @property
    def table(self) -> Table:
        """The process table."""
        ...

    @property
    def contexts(self) -> Contexts:
        """Every process's contexts."""
        ...

    @property
    def post(self) -> Post:
        """The mailboxes."""
        ...

    @property
    def fleets(self) -> Fleets:
        """What operators declared that agents are."""
        ...

    @property
    def paced(self) -> Paces:
        """Which calls wait for their agents' bytes a second."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Who talks with whom."""
        ...

    @property
    def quotas(self) -> Quotas:
        """What this kernel bounds."""
        ...

    def now_ns(self) -> int:
        """The kernel's time; what follows from it goes into an event."""
        ...

    def content(self, digest: bytes, seq: int = 0) -> bytes:
        """Stored content, by its digest; `seq` is the entry that names it. Raises Eio when it was forgotten."""
        ...

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        ...

    def shared_digest(self, content: bytes) -> bytes:
        """The same, of content that many entries name."""
        ...

    def entropy(self, size: int) -> bytes:
        """Random bytes; what is drawn goes into an event."""
        ...

    def find_program(self, target: str, beside: str, source: bytes = b"", closed: Sequence[str] = ()) -> Program:
        """Resolve a program's name, on disk or else in the recorded `source` of the one `beside`.

        Raises Enoent, and Eacces for a file below one of the folders in `closed`.
        """
        ...

    def known_program(
        self, target: str, beside: str, source: bytes = b"", closed: Sequence[str] = ()
    ) -> Program | None:
        """As `find_program`, of a program that is known as it is now; None where it has to be read first."""
        ...

    def environment(self, python: str) -> str:
        """What the environment of an interpreter is now; "" for the kernel's own interpreter."""
        ...

    def model(self, process: Process, name: str) -> Model | None:
        """What `process` means by that name ("" is its own), for what it says of itself; a handler asks it nothing."""
        ...

    def endpoint(self, name: str) -> Model | None:
        """The model of which that is the kernel's name."""
        ...

    def endpoint_name(self, process: Process, name: str) -> str:
        """The kernel's name of what `process` means by that name."""
        ...

    @property
    def budgets(self) -> Budgets:
        """What may be taken, and what was."""
        ...

    def accounts_of(self, process: Process) -> Sequence[str]:
        """The budgets that a process stands below."""
        ...

    @property
    def model_routes(self) -> ModelRoutes:
        """Which models calls go to."""
        ...

    @property
    def model_turns(self) -> ModelTurns:
        """Who waits for models."""
        ...

    @property
    def model_sparing(self) -> Sparing:
        """Which calls of models need not be made."""
        ...

    def unfinished(self, process: Process, n: int) -> tuple[ev.Event, ...]:
        """What is recorded of a call that ends now, without its answer, before what ends it: what a model's is charged
        for what it was doing; the doubt of a tool's that may have happened."""
        ...

    @property
    def tools(self) -> Toolbox:
        """What each process may call."""
        ...

    @property
    def turns(self) -> Turns:
        """Which tool calls are open, and who waits for a resource."""
        ...

    def content_of(self, pid: int) -> bytes:
        """What a terminated process left, packed."""
        ...


Handler = Callable[[Context, Process, int, Any], Outcome]
