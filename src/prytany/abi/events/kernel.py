"""Events of the kernel itself and of its operator."""

from __future__ import annotations

import msgspec


class KernelStarted(msgspec.Struct, array_like=True, frozen=True, tag="kernel.started/1"):
    """A kernel opened this journal."""

    version: str
    os_pid: int


class IncidentOpened(msgspec.Struct, array_like=True, frozen=True, tag="incident.opened/1"):
    """Something needs a person."""

    pid: int
    kind: str
    n: int = 0


class IncidentClosed(msgspec.Struct, array_like=True, frozen=True, tag="incident.closed/1"):
    """It was seen to, by the operator of that uid (-1: it settled itself)."""

    pid: int
    kind: str
    n: int = 0
    uid: int = -1


class ContentForgotten(msgspec.Struct, array_like=True, frozen=True, tag="content.forgotten/1"):
    """Content that the events of an ended process name is destroyed: all of it, but what living processes name as well.

    It names the process and not its digests: these stand in the process's events, and a process has many. The first one
    says that it is being forgotten, before anything is destroyed; each further one counts what was destroyed since.
    """

    pid: int
    contents: int
    """How many pieces that were."""
    freed_bytes: int


class HomeRestored(msgspec.Struct, array_like=True, frozen=True, tag="home.restored/1"):
    """From here on this is another home than the one that wrote what is before: it was made from a backup of that one,
    which may have gone on. Everything that lives is stopped in the entries after this."""

    home: bytes
    """Its own id, 16 random bytes."""
    head: int
    """The last entry that came from the backup."""


class JournalArchived(msgspec.Struct, array_like=True, frozen=True, tag="journal.archived/1"):
    """Entries up to `last` lie in an archive, and the journal begins with a base from here on: the state at `seq`. It
    is in force once the store has it; where the kernel died before that, nothing was changed."""

    last: int
    hash: bytes
    """Of entry `last`."""
    seq: int
    digest: bytes
    """Of the base: of its state, and of what stays of the archived entries."""
    file: str = ""
    """What the archive's file was called."""


class EntriesRemoved(msgspec.Struct, array_like=True, frozen=True, tag="journal.removed/1"):
    """That many archived entries, and the content that only they named, have left the journal."""

    entries: int
    freed_bytes: int


class OperatorCommanded(msgspec.Struct, array_like=True, frozen=True, tag="operator.commanded/1"):
    """The operator of that uid gave a command; what it led to stands in the same entry."""

    uid: int
    command: str
    pid: int = 0
    n: int = 0
