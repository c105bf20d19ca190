"""Room in a mailbox: whoever waits for it longest goes on, as soon as an entry has made some; see `wakes`."""

from __future__ import annotations

from typing import Protocol

from prytany.abi import events as ev
from prytany.abi.values import pack_error
from prytany.kernel.handlers.receiving import admitted_events
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


def fill_mailbox(k: Core) -> bool:
    """The next message that waited for room in a mailbox that has some, or whose owner has ended. No call of that owner
    waits for it: it would have been handed it when it came."""
    lines = k.state.post.lines
    if not lines.due:
        return False
    receiver = next(iter(lines.due))
    line = lines.of[receiver]
    number, message = next(iter(line.held.items()))
    if not line.gone:
        events, contents = admitted_events(k, receiver, message)
        k.ledger.commit(events, {k.digest(content): content for content in contents}, payer=message.sender)
        return True
    sender, errno = k.table.require(message.sender), "EPIPE" if message.call else "ESRCH"
    value = pack_error(f"process {receiver} ended before there was room in its mailbox", {"cause": "ended"})
    closed = ev.CallClosed(sender.pid, line.calls[number], errno, k.digest(value), sender.tail)
    k.ledger.commit((closed,), {closed.result: value})
    return True
