"""What a home that was made from a backup begins with: nothing goes on by itself, and people are asked.

The home that the backup is of may have gone on: from its last common entry on there are two. So, in this one,

- everything that lives is stopped, with a reason, and goes on when an operator says so (CONT);
- an effect outside that was open, begun or not, and is not `pure` (a tool's that is keyed or unsafe, a file that is
  written) is in doubt: the other home may have carried it out, or something else after it;
- what a person had said of such an effect while no kernel ran is said of the other home: they are asked again;
- a model call that was open is charged at its reservation and made again when its process goes on, as after any crash.

What was opened after the backup is not known here: the program asks for it again, in its order, as something new.
"""

from __future__ import annotations

from collections.abc import Iterator

from prytany.abi import events as ev
from prytany.kernel.effects.tool import doubt_events
from prytany.kernel.state import ShardState
from prytany.process.process import OpenCall, Process, State

REASON = "restored from a backup"
PROCESSES_AN_ENTRY = 1_000


def restored_entries(state: ShardState, home: bytes, head: int, uid: int) -> Iterator[list[ev.Event]]:
    """The entries with which the new home begins; each is to be applied before the next is asked for.

    Args:
        state: of the backup's head.
        home: the new home's id.
        head: the last entry of the backup.
        uid: the operator's.
    """
    yield [ev.OperatorCommanded(uid, f"restore-home: entries 1 to {head}"), ev.HomeRestored(home, head)]
    events: list[ev.Event] = []
    for number, process in enumerate(list(state.table.processes.values()), 1):
        if process.alive:
            events.extend(_stopped(state, process, uid))
        if events and not number % PROCESSES_AN_ENTRY:
            yield events
            events = []
    if events:
        yield events


def _stopped(state: ShardState, process: Process, uid: int) -> Iterator[ev.Event]:
    for n, call in process.open.items():
        if not _may_have_happened(state, process.pid, n, call):
            continue
        if call.settled:
            yield ev.CallSettled(process.pid, n, "", uid, later=True)
        if not call.doubt or n not in process.incidents:
            yield from doubt_events(process.pid, n)
    if process.state is not State.STOPPED:
        yield ev.ProcessPaused(process.pid, REASON)


def _may_have_happened(state: ShardState, pid: int, n: int, call: OpenCall) -> bool:
    if call.call == "file_write":
        return True
    tool = state.turns.get(pid, n)
    return tool is not None and tool.effect != "pure"
