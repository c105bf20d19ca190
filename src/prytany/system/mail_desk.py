"""Operators' commands about mail, on an opened shard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from prytany.abi.control import mail
from prytany.abi.errors import Eio
from prytany.kernel.mail_views import box_rows, dead_row, dead_rows, grave_of
from prytany.kernel.state import ShardState

if TYPE_CHECKING:  # who only looks at a home does without
    from prytany.kernel.kernel import Kernel


def look_at_mail(command: mail.MailLook, state: ShardState, now_ns: int) -> object:
    """What a command that changes nothing is answered with."""
    match command:
        case mail.ListMailboxes():
            return box_rows(state, command.after, now_ns)
        case mail.ListDead():
            return dead_rows(state, command.after, now_ns)


def carry_out_mail(kernel: Kernel, command: mail.MailAct, uid: int) -> object:
    """What one that reads content or changes something is answered with. Raises KernelError."""
    from prytany.kernel.mail import drop_letters, retry_letters

    match command:
        case mail.ReadDead():
            return _read(kernel, command.number)
        case mail.RetryDead():
            return retry_letters(kernel, command.number, uid=uid)
        case mail.DropDead():
            return drop_letters(kernel, command.number, uid=uid)


def _read(kernel: Kernel, number: int) -> mail.DeadLetter:
    grave = grave_of(kernel.state, number)
    letter = mail.DeadLetter(row=dead_row(kernel.state, grave, kernel.now_ns()))
    try:
        letter.body = msgspec.msgpack.decode(kernel.content(grave.message.body, grave.message.seq))["body"]
    except Eio:
        letter.forgotten = True
    return letter
