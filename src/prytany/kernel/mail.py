"""Dead letters, as an operator sees to them: tried again by whoever has their receiver's name now, or let go of."""

from __future__ import annotations

from typing import Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi.control.mail import MailDone, MailFault
from prytany.abi.errors import Eagain, Einval, Enoent, Eperm, Esrch, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.ipc.mailbox import Grave, Post
from prytany.kernel.bounds import mailbox_room
from prytany.kernel.handlers.receiving import hand, taker
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.process.process import Process

AT_ONCE = 10_000
"""Letters of one command."""


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


def retry_letters(k: Core, number: int, *, uid: int) -> MailDone:
    """Put a dead letter, or all of them (0), back into a mailbox: its receiver's, or that of whoever is called so now.

    Raises:
        Enoent: there is no such dead letter.
        Esrch: its receiver has ended, and nobody else is called so.
        Einval: several are.
        Eperm, Eagain: whoever is receives nothing, or its mailbox is full.
        Eio: its content was forgotten.
    """
    done = MailDone()
    for grave in _graves(k.post, number):
        try:
            _retry(k, grave, uid)
        except KernelError as error:
            if number and not done.done:
                raise
            done.failed.append(MailFault(number=grave.message.number, errno=error.errno, text=error.message))
        else:
            done.done.append(grave.message.number)
    return done


def drop_letters(k: Core, number: int, *, uid: int) -> MailDone:
    """Let go of a dead letter, or of all of them (0). Raises Enoent."""
    done = MailDone()
    for grave in _graves(k.post, number):
        done.done.append(grave.message.number)
        dropped = ev.MessageDropped(grave.message.number, grave.pid, grave.left)
        k.ledger.commit((ev.OperatorCommanded(uid, "mail drop", grave.pid), dropped), {}, payer=0)
    return done


def _graves(post: Post, number: int) -> list[Grave]:
    if not number:
        return sorted(post.graves(), key=lambda grave: grave.message.number)[:AT_ONCE]
    found = post.find_dead(number)
    if not found:
        raise Enoent(f"there is no dead letter {number}")
    return found


def _retry(k: Core, grave: Grave, uid: int) -> None:
    message, receiver = grave.message, _receiver(k, grave)
    if "ipc" not in receiver.pledge:
        raise Eperm(f"process {_name(receiver)} has not pledged 'ipc', and receives nothing")
    content = k.content(message.body, message.seq)
    body = msgspec.msgpack.decode(content)["body"]
    box = k.post.box(receiver.pid)
    if message.number in box.waiting or message.number in box.in_hand:
        raise Einval(f"message {message.number} lies in the mailbox of process {_name(receiver)} already")
    by = taker(k, receiver, message.kind, message.sender, body)
    if not by and box.messages >= mailbox_room(k.fleets, receiver.pid):
        raise Eagain(f"the mailbox of process {_name(receiver)} is full")
    events: list[ev.Event] = [
        ev.OperatorCommanded(uid, "mail retry", grave.pid),
        ev.MessageRetried(receiver.pid, message.number, grave.pid, grave.left),
    ]
    contents: dict[bytes, bytes] = {}
    if by:
        events += hand(receiver, by, message.number, message.body)
        contents[message.body] = content
    k.ledger.commit(events, contents, payer=receiver.pid)


def _receiver(k: Core, grave: Grave) -> Process:
    """Whose it was, if that lives; else who is called so in its run, or else in its fleet."""
    process = k.table.get(grave.pid)
    if process is not None and process.alive:
        return process
    names = k.state.names
    pids = list(names.pids(f"run:{grave.run}", grave.name)) or list(names.pids(f"fleet:{grave.fleet}", grave.name))
    number, ended = grave.message.number, f"process {format_pid(Pid(grave.pid))} has ended"
    if not pids:
        raise Esrch(f"message {number}: {ended}, and nobody is called {grave.name!r} there now")
    if len(pids) > 1:
        raise Einval(f"message {number}: {ended}, and several are called {grave.name!r} now")
    return k.table.require(pids[0])


def _name(p: Process) -> str:
    return format_pid(Pid(p.pid))
