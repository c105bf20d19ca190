"""The desk's part of archiving: what the kernel carries out of it, one command at a time."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from prytany.abi import control
from prytany.abi.errors import Eio, Enoent, Enospc
from prytany.abi.values import pack
from prytany.journal.anchor import Head
from prytany.journal.base import kept_rows
from prytany.journal.home import raise_format
from prytany.kernel.archiving import finish, prepare
from prytany.ports.store import Base, StoreError, StoreFull

if TYPE_CHECKING:
    from prytany.kernel.kernel import Kernel

STATE_DIGEST_BYTES = 16
Archiving = control.PrepareArchive | control.FinishArchive | control.ShrinkJournal


def state_digest(state: bytes) -> bytes:
    """By which the state that a kernel has and the one that its journal gives are compared."""
    return blake2b(state, digest_size=STATE_DIGEST_BYTES).digest()


async def answer_archiving(kernel: Kernel, home: Path, command: Archiving, uid: int, prepared: list[Base]) -> bytes:
    """Carry `command` out; `prepared` holds what the one before made ready.

    Raises:
        KernelError: as the command says.
    """
    try:
        return await _answer(kernel, home, command, uid, prepared)
    except StoreFull as error:
        raise Enospc(f"there is no room for it: {error}") from error
    except StoreError as error:
        raise Eio(f"the journal cannot be changed, or not all of it: {error}; give the command again") from error


async def _answer(kernel: Kernel, home: Path, command: Archiving, uid: int, prepared: list[Base]) -> bytes:
    match command:
        case control.PrepareArchive():
            prepared.clear()
            base = await prepare(kernel.ledger, kernel.reader, Head(command.last, command.hash), uid, command.file)
            prepared.append(base)
            kept = len(kept_rows(base))
            return pack(control.Prepared(seq=base.seq, state=state_digest(base.state), kept=kept))
        case control.FinishArchive(seq=0):
            removed = await finish(kernel.ledger, kernel.reader)
        case control.FinishArchive():
            if not prepared or prepared[0].seq != command.seq:
                raise Enoent("nothing was made ready to be removed; archive again")
            raise_format(home)
            removed = await finish(kernel.ledger, kernel.reader, prepared.pop())
        case control.ShrinkJournal():
            await kernel.ledger.journal.shrink()
            return pack(None)
    return pack(control.Removed(**removed._asdict()))
