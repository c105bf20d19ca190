"""The client's methods about mailboxes and dead letters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from prytany.abi import control
from prytany.abi.control import mail
from prytany.abi.errors import Eio


class MailClient(ABC):
    """Part of `Client`."""

    async def mailboxes(self) -> list[mail.BoxRow]:
        """The mailboxes that hold anything, or held what is dead, by pid."""
        rows: list[mail.BoxRow] = []
        while True:
            page: list[mail.BoxRow] = await self._ask(mail.ListMailboxes(rows[-1].pid if rows else 0))
            if rows and page and page[0].pid <= rows[-1].pid:
                raise Eio("the kernel lists the same mailboxes again")
            rows += page
            if len(page) < control.ROWS_MAX:
                return rows

    async def dead_letters(self) -> list[mail.DeadRow]:
        """All dead letters, by number."""
        rows: list[mail.DeadRow] = []
        while True:
            page: list[mail.DeadRow] = await self._ask(mail.ListDead(rows[-1].number if rows else 0))
            if rows and page and page[0].number <= rows[-1].number:
                raise Eio("the kernel lists the same letters again")
            rows += page
            if len(page) < control.ROWS_MAX:
                return rows

    async def dead_letter(self, number: int) -> mail.DeadLetter:
        """One with its content. Raises Enoent."""
        letter: mail.DeadLetter = await self._ask(mail.ReadDead(number))
        return letter

    async def retry_mail(self, number: int = 0) -> mail.MailDone:
        """Put a dead letter back into a mailbox, or all of them (0).

        Raises:
            Enoent: there is no such dead letter.
            Esrch: its receiver has ended, and nobody else is called so.
            Einval: several are called so.
            Eperm, Eagain: who is called so receives nothing, or its mailbox is full.
            Eio: its content was forgotten.
        """
        done: mail.MailDone = await self._ask(mail.RetryDead(number))
        return done

    async def drop_mail(self, number: int = 0) -> mail.MailDone:
        """Let go of a dead letter, or of all of them (0). Raises Enoent."""
        done: mail.MailDone = await self._ask(mail.DropDead(number))
        return done

    @abstractmethod
    async def _ask(self, command: control.Command) -> Any: ...
