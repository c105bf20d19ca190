"""Addresses: which process is meant by a pid or by a name. What was found stands in the event, so nothing that is
decided later depends on who is called so then.

A name means a process of the caller's run first: what it was called when it was spawned, or the agent that it is. Then
one of its fleet, the roots of runs before what others have started there.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from prytany.abi import limits
from prytany.abi.errors import Einval, Eperm, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.ipc.names import Names
from prytany.kernel.outcome import Context
from prytany.kernel.scope import scope_of
from prytany.process.process import Process
from prytany.process.table import Table
from prytany.supervision.fleets import Fleets

SHOWN = 8
"""Of pids or names in an error."""
NEAR_MAX = 1_000
"""Names that are looked through for one that is near."""


def receiver_of(k: Context, sender: Process, to: int | str, call: str) -> Process:
    """Whom `sender` means.

    Raises:
        Esrch: nobody alive; names that are near are told.
        Eperm: it is of another run, and not of the same fleet.
        Einval: several are called so; their pids are told.
    """
    if isinstance(to, str):
        return _named(k, sender, to, call)
    receiver = alive(k.table, to, call)
    if receiver.run != sender.run and not _same_fleet(k.fleets, sender, receiver):
        raise Eperm(f"process {format_pid(Pid(to))} is of another run, and not of the same fleet", call=call)
    return receiver


def alive(table: Table, pid: int, call: str = "") -> Process:
    """The process; raises Esrch where there is none alive of that pid."""
    process = table.get(pid)
    if process is None:
        raise Esrch(f"there is no process {format_pid(Pid(pid)) if pid > 0 else pid}", call=call)
    if not process.alive:
        raise Esrch(f"process {format_pid(Pid(pid))} has ended", call=call)
    return process


def _same_fleet(fleets: Fleets, one: Process, other: Process) -> bool:
    member, of = fleets.members.get(one.pid), fleets.members.get(other.pid)
    return member is not None and of is not None and member.fleet == of.fleet


def _named(k: Context, sender: Process, name: str, call: str) -> Process:
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= limits.NAME_BYTES_MAX:
        raise Einval(f"a name has 1 to {limits.NAME_BYTES_MAX} bytes", call=call)
    names, run, fleet = k.state.names, f"run:{sender.run}", scope_of(k.fleets, sender)
    found = list(islice(names.pids(run, name), SHOWN + 1))
    if not found and fleet != run:
        found = _of_fleet(k.table, names.pids(fleet, name))
    if len(found) == 1:
        return k.table.require(found[0])
    if found:
        pids = ", ".join(format_pid(Pid(pid)) for pid in found[:SHOWN])
        more = " and others" if len(found) > SHOWN else ""
        raise Einval(
            f"several processes are called {name!r}: {pids}{more}; name one by its pid", call=call,
            detail={"pids": found[:SHOWN]},
        )  # fmt: skip
    near = _near(names, (run, fleet), name)
    said = f"; there are {', '.join(map(repr, near))}" if near else ""
    raise Esrch(f"nobody is called {name!r} here{said}", call=call, detail={"near": near})


def _of_fleet(table: Table, pids: Iterable[int]) -> list[int]:
    """Roots before others; enough of them to see whether it is one."""
    roots: list[int] = []
    others: list[int] = []
    for pid in pids:
        found = roots if table.require(pid).run == pid else others
        if len(found) <= SHOWN:
            found.append(pid)
        if len(roots) > SHOWN:
            break
    return roots or others


def _near(names: Names, scopes: Iterable[str], name: str) -> list[str]:
    there = names.near(scopes, NEAR_MAX)
    return (get_close_matches(name, there, SHOWN) or there)[:SHOWN]
