"""What the kernel shows of mailboxes and dead letters, as the answers of `abi.control.mail`: from the fold alone."""

from __future__ import annotations

from heapq import nsmallest

from prytany.abi.control import ROWS_MAX
from prytany.abi.control.mail import BoxRow, DeadRow, TryRow
from prytany.abi.errors import Enoent
from prytany.ipc.mailbox import Grave, Mailbox
from prytany.kernel.bounds import mailbox_room
from prytany.kernel.state import ShardState
from prytany.process.process import RECEIVES


def box_rows(state: ShardState, after: int, now_ns: int) -> list[BoxRow]:
    """The next mailboxes that are worth a look, by pid; those of processes that have left the table, with what is dead
    alone."""
    left: dict[int, list[Grave]] = {}
    for grave in state.post.graves():
        if grave.left and grave.pid > after:
            left.setdefault(grave.pid, []).append(grave)
    there = [pid for pid, box in state.post.boxes.items() if pid > after and _worth(state, pid, box)]
    rows = [
        _gone(left[pid], now_ns) if pid in left else _box(state, pid, now_ns)
        for pid in nsmallest(ROWS_MAX, {*left, *there})
    ]
    return rows


def _worth(state: ShardState, pid: int, box: Mailbox) -> bool:
    return bool(box.waiting or box.in_hand or box.dead or pid in state.post.lines.of)


def _box(state: ShardState, pid: int, now_ns: int) -> BoxRow:
    box, p = state.post.box(pid), state.table.require(pid)
    line = state.post.lines.of.get(pid)
    lying = (*box.in_hand.values(), *box.waiting.values())
    return BoxRow(
        pid=pid, name=p.name, agent=_agent(state, pid), run=p.run, alive=p.alive, waiting=len(box.waiting),
        in_hand=len(box.in_hand), room=mailbox_room(state.fleets, pid), line=len(line.held) if line is not None else 0,
        oldest_ns=min((m.sent_ns for m in lying), default=0),
        receiving=sum(call.call in RECEIVES for call in p.open.values()), dead=len(box.dead), now_ns=now_ns,
    )  # fmt: skip


def _gone(graves: list[Grave], now_ns: int) -> BoxRow:
    first = graves[0]
    return BoxRow(
        pid=first.pid, name=first.name, agent="", run=first.run, alive=False, waiting=0, in_hand=0, room=0, line=0,
        oldest_ns=0, receiving=0, dead=len(graves), now_ns=now_ns,
    )  # fmt: skip


def _agent(state: ShardState, pid: int) -> str:
    member = state.fleets.members.get(pid)
    return f"{state.fleets.fleets[member.fleet].name}.{member.agent}" if member is not None else ""


def dead_rows(state: ShardState, after: int, now_ns: int) -> list[DeadRow]:
    """The next dead letters, by number."""
    graves = (grave for grave in state.post.graves() if grave.message.number > after)
    return [dead_row(state, grave, now_ns) for grave in nsmallest(ROWS_MAX, graves, key=lambda g: g.message.number)]


def dead_row(state: ShardState, grave: Grave, now_ns: int) -> DeadRow:
    """One dead letter, without its content."""
    process, message = state.table.get(grave.pid), grave.message
    return DeadRow(
        number=message.number, type=message.kind, pid=grave.pid, name=process.name if process else grave.name,
        agent=_agent(state, grave.pid), run=process.run if process else grave.run,
        alive=process is not None and process.alive, sender=message.sender, reason=message.reason,
        attempts=message.attempts, sent_ns=message.sent_ns, dead_ns=message.dead_ns, now_ns=now_ns,
        tries=[TryRow(time_ns=t.time_ns, incarnation=t.incarnation, reason=t.reason) for t in message.tries],
    )  # fmt: skip


def grave_of(state: ShardState, number: int) -> Grave:
    """The dead letter of that number, the first one of an event's; raises Enoent."""
    found = state.post.find_dead(number)
    if not found:
        raise Enoent(f"there is no dead letter {number}")
    return found[0]
