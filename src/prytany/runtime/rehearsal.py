"""A worker's life, lived in the zygote before any fork: of a program of our own, with a record made up, and forgotten.

A page of memory is shared by a zygote and all its workers until one of them writes to it. The interpreter writes while
it runs code for the first times: it specialises instructions, fills its caches of types and attributes, imports what
was put off. Where that has been done before the fork, it has not to be done in each worker, nor held by each.

Must leave nothing behind that a program could see; `tests/unit/runtime/test_rehearsal.py` says what that is.
"""

from __future__ import annotations

import asyncio
import linecache
import socket
import sys
from typing import Any

import msgspec

from prytany.abi import wire
from prytany.abi.errors import KernelPanic
from prytany.abi.program import pack_program
from prytany.runtime import determinism, worker

LIVES = 8
"""As often has code to run before the interpreter specialises it; more gained nothing."""
NAME = "prytany_rehearsal"
PLACE = f"/{NAME}.py"
PROGRAM = b"""
import asyncio
from prytany import agent


async def later():
    await asyncio.sleep(1)


@agent(pledge="")
async def main(proc):
    await proc.sleep(1)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(later())
"""
RECV_BYTES = 1 << 16
CALLS = 3
"""What the program makes, its exit included."""


def rehearse() -> None:
    """Live `LIVES` lives, and prepare for one more. Raises KernelPanic when one fails: so would every worker's."""
    for _ in range(LIVES):
        worker.prepare()
        _live()
    worker.prepare()


def _live() -> None:
    finders = sys.meta_path[:]
    ours, theirs = socket.socketpair()
    try:
        ours.sendall(b"".join(_items()))
        ours.shutdown(socket.SHUT_WR)  # who waits for more than was sent is told so, and does not wait for ever
        worker.main(theirs)
        _check(ours.recv(RECV_BYTES, socket.MSG_DONTWAIT))
        asyncio.get_event_loop().close()
    finally:
        ours.close()
        theirs.close()
        asyncio.set_event_loop(None)
        determinism.uninstall()
        sys.meta_path[:] = finders
        sys.modules.pop(NAME, None)
        linecache.cache.pop(PLACE, None)


def _check(sent: bytes) -> None:
    calls = [call for body in wire.FrameReader().feed(sent) for call in wire.decode_frame(body).calls]
    said = [(call.name, msgspec.msgpack.decode(call.args)) for call in calls[-1:]]
    if len(calls) != CALLS or said != [("process_exit", [0, None, None])]:
        raise KernelPanic(f"the rehearsal of a worker ended otherwise than a worker's life: {said}")


def _items() -> list[bytes]:
    start: dict[str, Any] = {
        "program": PLACE, "python": "", "source": pack_program(PROGRAM, []), "args": [], "kwargs": {},
        "seed": bytes(32), "pid": 1, "parent": 0, "incarnation": 1, "name": NAME, "pledge": [], "epoch": 0, "base": 0,
        "state": None, "migrating": False,
    }  # fmt: skip
    answers = [wire.encode_item(n, n, wire.OK, None) for n in range(1, CALLS + 1)]
    return [wire.encode_item(wire.START, 0, wire.OK, start), *answers]
