"""The state of a shard: what the pure rooms fold out of its journal, together.

Rooms do not know each other; here each event reaches the rooms that fold it. Who reads the journal is `folding`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.budgets import process_account, run_account, tree_account
from prytany.ipc.attachments import Attachments
from prytany.ipc.awaited import FOLDS as AWAITED
from prytany.ipc.awaited import Awaited
from prytany.ipc.locks import FOLDS as LOCKS
from prytany.ipc.locks import Locks
from prytany.ipc.mailbox import Post
from prytany.ipc.names import Names
from prytany.ipc.pipes import FOLDS as PIPES
from prytany.ipc.pipes import Pipes
from prytany.ipc.pools import Pools
from prytany.ipc.segments import FOLDS as SEGMENTS
from prytany.ipc.segments import Segments
from prytany.ipc.topics import Topics
from prytany.kernel.mail_folds import FOLDS as MAIL
from prytany.kernel.pool_folds import FOLDS as POOLS
from prytany.kernel.topic_folds import FOLDS as TOPICS
from prytany.kernel.trigger_folds import FOLDS as TRIGGERS
from prytany.memory.contexts import FOLDS as CONTEXTS
from prytany.memory.contexts import Contexts
from prytany.process.fold import apply as fold_process
from prytany.process.table import Table
from prytany.scheduling.asked import Asked
from prytany.scheduling.budgets import Amount, Budgets
from prytany.scheduling.turns import Turns
from prytany.security.grants import Grants
from prytany.supervision.fleets import FOLDS as FLEETS
from prytany.supervision.fleets import NO_MEMBER, Fleets
from prytany.supervision.links import FOLDS as LINKS
from prytany.supervision.links import Links
from prytany.supervision.noticing import FOLDS as NOTICES
from prytany.supervision.noticing import Fold, Noticed
from prytany.supervision.sessions import FOLDS as SESSIONS
from prytany.supervision.sessions import Sessions
from prytany.supervision.trees import FOLDS as TREES
from prytany.supervision.trees import Trees
from prytany.supervision.triggers import Triggers

DIGEST_BYTES = 16
LET_GO = (ev.ChannelWithdrawn, ev.NoticeDelivered, ev.NoticeMissed, ev.NoticeDropped)
"""With which the last may be told of a fleet, which is forgotten then."""
BEGINS_AGAIN = (
    ev.ProcessFailed, ev.ProcessCycled, ev.ProcessExeced, ev.ProcessUpgraded, ev.ProcessReverted, ev.ProcessHandedOff,
)  # fmt: skip
"""A program knows nothing any more of what it did before these."""


class ShardState(msgspec.Struct):
    """Everything that the journal says; plain data, so that a snapshot is its encoding. Each field is a room's own
    class, whose package is part of the fold's version.
    """

    table: Table = msgspec.field(default_factory=Table)
    grants: Grants = msgspec.field(default_factory=Grants)
    turns: Turns = msgspec.field(default_factory=Turns)
    contexts: Contexts = msgspec.field(default_factory=Contexts)
    post: Post = msgspec.field(default_factory=Post)
    fleets: Fleets = msgspec.field(default_factory=Fleets)
    sessions: Sessions = msgspec.field(default_factory=Sessions)
    budgets: Budgets = msgspec.field(default_factory=Budgets)
    asked: Asked = msgspec.field(default_factory=Asked)
    locks: Locks = msgspec.field(default_factory=Locks)
    segments: Segments = msgspec.field(default_factory=Segments)
    awaited: Awaited = msgspec.field(default_factory=Awaited)
    names: Names = msgspec.field(default_factory=Names)
    trees: Trees = msgspec.field(default_factory=Trees)
    topics: Topics = msgspec.field(default_factory=Topics)
    triggers: Triggers = msgspec.field(default_factory=Triggers)
    pipes: Pipes = msgspec.field(default_factory=Pipes)
    links: Links = msgspec.field(default_factory=Links)
    pools: Pools = msgspec.field(default_factory=Pools)
    attachments: Attachments = msgspec.field(default_factory=Attachments)

    def __post_init__(self) -> None:
        """Names follow from who is there: a state of before there were any is read for them."""
        if not self.names.whole:
            for pid, process in self.table.processes.items():
                if process.alive:
                    member = self.fleets.members.get(pid, NO_MEMBER)
                    _call(self, pid, process.parent, process.run, process.name, member.fleet, member.agent)
            self.names.whole = True

    def apply(self, seq: int, time_ns: int, event: ev.Event) -> None:
        """Fold one event of entry `seq`."""
        fold_process(self.table, seq, time_ns, event)
        for room in _ROOMS.get(type(event), ()):
            room(self, seq, event)

    def charge(self, payer: int, size_bytes: int) -> None:
        """Count an entry's bytes, after its events were applied: its record, and the content that came with it."""
        table = self.table
        table.journal_bytes += size_bytes
        process = table.processes.get(payer)
        if process is not None:
            process.journal_bytes += size_bytes

    def encode(self) -> bytes:
        """Its snapshot. Takes about 0.5 µs a process, and 300 bytes."""
        return msgspec.msgpack.encode(self)

    def digest(self) -> bytes:
        """Two states are the same when these 16 bytes are."""
        return blake2b(self.encode(), digest_size=DIGEST_BYTES).digest()


Room = Callable[[ShardState, int, Any], None]


def _into_contexts(into: Callable[[Contexts, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.contexts, seq, event)


def _into_pipes(into: Callable[[Pipes, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.pipes, seq, event)


def _into_fleets(into: Callable[[Fleets, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.fleets, seq, event)


def _into_notices(into: Fold, state: ShardState, seq: int, event: Any) -> None:
    """With the time, and the name of the process that it is about: it may be gone from the table when that is told."""
    if state.fleets.fleets:
        process = state.table.get(getattr(event, "pid", 0))
        into(state.fleets, Noticed(seq, state.table.time_ns, process.name if process is not None else ""), event)


def _into_sessions(into: Callable[[Sessions, int, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.sessions, seq, state.table.time_ns, event)


def _into_locks(into: Callable[[Locks, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.locks, state.table.time_ns, event)


def _into_segments(into: Callable[[Segments, int, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.segments, seq, state.table.time_ns, event)


def _into_awaited(into: Callable[[Awaited, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.awaited, event)


def _run_left(state: ShardState, seq: int, e: ev.ProcessReaped) -> None:
    """What a run shared by name goes with its root: until then people can look at it."""
    _scope_ended(state, f"run:{e.pid}")


def _fleet_left(state: ShardState, seq: int, e: ev.Event) -> None:
    """The same of a fleet, with the last that is known of it."""
    if state.fleets.gone:
        _scope_ended(state, f"fleet:{state.fleets.gone}")


def _scope_ended(state: ShardState, scope: str) -> None:
    state.locks.scope_ended(scope)
    state.segments.scope_ended(scope)


def _into_trees(into: Callable[[Trees, int, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.trees, seq, state.table.time_ns, event)


def _into_links(into: Callable[[Links, int, Any], None], state: ShardState, seq: int, event: Any) -> None:
    into(state.links, seq, event)


def _reserved(state: ShardState, seq: int, e: ev.ModelReserved) -> None:
    if e.accounts:
        amount = Amount(e.prompt_tokens + e.completion_tokens, e.cost_usd_micros, 1)
        state.budgets.reserved(e.pid, e.n, e.accounts, amount, state.table.time_ns)


def _used(state: ShardState, seq: int, e: ev.ModelUsed) -> None:
    """What an attempt took that the endpoint did no work for is nothing, and it was no call; nor was a turn of one."""
    tokens = e.prompt_tokens + e.completion_tokens
    calls = int(not e.cause or (tokens > 0 and e.cause != ev.PUT_ASIDE))
    state.budgets.charged(e.pid, e.n, Amount(tokens, e.cost_usd_micros, calls))
    if e.endpoint and e.cause != ev.HELD:
        state.asked.used(e.endpoint, tokens, state.table.time_ns)


def _closed(state: ShardState, seq: int, e: ev.CallClosed) -> None:
    """One function of all rooms: it is folded as often as anything is."""
    if state.turns.calls:
        state.turns.closed(seq, e)
    if state.budgets.held:
        state.budgets.released(e.pid, e.n)
    if state.pipes.waits:
        state.pipes.closed(e.pid, e.n)
    if state.post.choosy or state.post.lines.of:
        state.post.closed(e.pid, e.n)


def _call(state: ShardState, pid: int, parent: int, run: int, name: str, fleet: int, agent: str) -> None:
    """It is called what it was spawned as, and the agent that it is; what an agent has started itself is not that."""
    above = state.fleets.members.get(parent, NO_MEMBER)
    known = (name,) if agent in ("", name) or (above.fleet, above.agent) == (fleet, agent) else (name, agent)
    state.names.called(pid, (f"run:{run}", f"fleet:{fleet}") if fleet else (f"run:{run}",), known)


def _spawned(state: ShardState, seq: int, e: ev.ProcessSpawned) -> None:
    _call(state, e.pid, e.parent, e.run, e.name, e.fleet, e.agent)


def _exited(state: ShardState, seq: int, e: ev.ProcessExited) -> None:
    process, member = state.table.require(e.pid), state.fleets.members.get(e.pid, NO_MEMBER)
    state.names.gone(e.pid, (f"run:{process.run}", f"fleet:{member.fleet}"))


def _granted(state: ShardState, seq: int, e: ev.BudgetGranted) -> None:
    state.budgets.granted(e.account, e.total, e.minute, state.table.time_ns)


def _handed_off(state: ShardState, seq: int, e: ev.ProcessHandedOff) -> None:
    """It is called as the agent that it is now, and by a name of its own, if it was given one."""
    run, fleet = state.table.require(e.pid).run, state.fleets.members.get(e.pid, NO_MEMBER).fleet
    scopes = (f"run:{run}", f"fleet:{fleet}")
    state.names.called(e.pid, scopes, (e.name, e.agent))
    state.names.no_more(e.pid, scopes, e.by)
    if state.budgets.accounts or state.budgets.laid_by:
        state.budgets.swapped(process_account(e.pid), e.by, e.agent)


def _left(state: ShardState, seq: int, e: ev.ProcessReaped) -> None:
    """A process has left the table, and its accounts go with it; with a root goes that of its run. That of its tree
    stays for as long as others go on in that."""
    if not (state.budgets.accounts or state.budgets.laid_by):
        return
    for account in (process_account(e.pid), run_account(e.pid)):
        state.budgets.closed(account)
    trees = state.table.estates_ended
    for pid in trees if e.pid in state.table.estates else [e.pid, *trees]:
        state.budgets.closed(tree_account(pid))


def _rooms() -> dict[type, tuple[Room, ...]]:
    """What other rooms than the process table fold, by the event's type."""
    folds: list[tuple[type, Room]] = [
        (ev.ToolsGranted, lambda state, seq, e: state.grants.granted(seq, e)),
        (ev.ToolsNarrowed, lambda state, seq, e: state.grants.narrow(seq, e)),
        (ev.ProcessReaped, lambda state, seq, e: state.grants.reaped(seq, e)),
        (ev.ToolCalled, lambda state, seq, e: state.turns.called(seq, e)),
        (ev.ToolStarted, lambda state, seq, e: state.turns.started(seq, e)),
        (ev.ToolHoldAsked, lambda state, seq, e: state.turns.hold_asked(seq, e)),
        (ev.ToolHeld, lambda state, seq, e: state.turns.held(seq, e)),
        (ev.ToolLetGo, lambda state, seq, e: state.turns.let_go(seq, e)),
        (ev.CallPaced, lambda state, seq, e: state.turns.paced(seq, e)),
        (ev.CallDoubted, lambda state, seq, e: state.turns.doubted(seq, e)),
        (ev.CallSettled, lambda state, seq, e: state.turns.settled(seq, e)),
        (ev.CallClosed, _closed),
        (ev.ProcessSpawned, _spawned),
        (ev.ProcessExited, _exited),
        (ev.ModelReserved, _reserved),
        (ev.ModelUsed, _used),
        (ev.BudgetGranted, _granted),
        (ev.BudgetAdded, lambda state, seq, e: state.budgets.added(e.account, e.more)),
        (ev.ProcessReaped, _left),
        (ev.ProcessAccounted, lambda state, seq, e: state.budgets.processed(e.accounts, e.cpu_us)),
    ]
    for ends in (*BEGINS_AGAIN, ev.ProcessExited):
        folds.append((ends, lambda state, seq, e: state.turns.ended(e.pid)))
        folds.append((ends, lambda state, seq, e: state.budgets.ended(e.pid)))
        folds.append((ends, lambda state, seq, e: state.locks.ended(e.pid)))
        folds.append((ends, lambda state, seq, e: state.segments.ended(e.pid)))
        folds.append((ends, lambda state, seq, e: state.awaited.ended(e.pid)))
    folds.append((ev.ProcessHandedOff, _handed_off))
    folds += [(kind, partial(_into_contexts, into)) for kind, into in CONTEXTS.items()]
    folds += MAIL
    folds += [(kind, partial(_into_pipes, into)) for kind, into in PIPES.items()]
    folds += [(kind, partial(_into_fleets, into)) for kind, into in FLEETS.items()]
    folds += [(kind, partial(_into_notices, into)) for kind, into in NOTICES.items()]
    folds += [(kind, partial(_into_sessions, into)) for kind, into in SESSIONS.items()]
    folds += [(kind, partial(_into_locks, into)) for kind, into in LOCKS.items()]
    folds += [(kind, partial(_into_segments, into)) for kind, into in SEGMENTS.items()]
    folds += [(kind, partial(_into_awaited, into)) for kind, into in AWAITED.items()]
    folds.append((ev.ProcessReaped, _run_left))
    folds += [(kind, _fleet_left) for kind in (ev.ProcessReaped, ev.FleetWithdrawn, *LET_GO)]
    folds += [(kind, partial(_into_links, into)) for kind, into in LINKS.items()]
    folds += [(kind, partial(_into_trees, into)) for kind, into in TREES.items()]
    folds += [*TOPICS, *TRIGGERS, *POOLS]
    return {kind: tuple(fold for of, fold in folds if of is kind) for kind, _ in folds}


_ROOMS = _rooms()
