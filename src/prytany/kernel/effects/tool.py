"""Calling a tool: what may be made again is, a bounded number of times; what may not is in doubt.

The class of the effect is the one that was recorded when the call was opened, and no newer one.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Epolicy, Etool
from prytany.ports.tool import ToolFailure, Tools
from prytany.process.incidents import ABANDONED
from prytany.process.process import Process

TOOL_RUN = "tool.run"
"""The effect of a tool call. It is not named as the call is: the intent alone begins nothing."""
KEY_BYTES = 16


class InDoubt(Exception):
    """The effect was begun, and nobody knows whether it happened."""


class ToolRun(NamedTuple):
    """One call of a tool."""

    name: str
    arguments: dict[str, Any]
    effect: str


def doubt_events(pid: int, n: int) -> tuple[ev.Event, ...]:
    """A person is asked; the call stays open until there is an answer."""
    return ev.CallDoubted(pid, n), ev.IncidentOpened(pid, "doubt", n)


def abandoned_events(process: Process, n: int) -> tuple[ev.Event, ...]:
    """A person is asked, and the call ends in the same entry: who made it goes on without an answer, or not at all."""
    at = process.open[n].seq
    return ev.CallAbandoned(process.pid, n), ev.IncidentOpened(process.pid, ABANDONED, -at)


def call_key(process: Process, n: int, home_at: Callable[[int], bytes] = lambda seq: b"") -> str:
    """What names this call for ever: the same after a crash, and never another's, be it in another home.

    By the entry of its intent and not by its number: a program that begins again numbers its calls from 1 again. The
    entries of a home that was restored are numbered as those with which the other went on: what it opens itself has
    its id in the key, and what was open before keeps the key that it had.
    """
    seq = process.open[n].seq
    named = f"{process.pid}/{seq}".encode() + home_at(seq)
    return blake2b(named, digest_size=KEY_BYTES, key=process.seed[:64]).hexdigest()


class ToolEffects:
    """The effects that end at a tool."""

    def __init__(self, find: Callable[[int, str], Tools | None], home_at: Callable[[int], bytes]) -> None:
        self._find = find
        self._home_at = home_at

    async def run(self, process: Process, n: int, run: ToolRun) -> Any:
        """One result. Raises Etool, Einval, Epolicy, InDoubt."""
        key = call_key(process, n, self._home_at) if run.effect == "keyed" else ""
        attempt = 1
        while True:
            tools = self._find(process.run, run.name)  # anew: what was loaded may have been replaced meanwhile
            if tools is None:
                raise Epolicy(f"the tool {run.name} is not loaded in this kernel", call="tool_call")
            try:
                return await tools.call(run.name, run.arguments, key)
            except ToolFailure as failure:
                if failure.begun and run.effect not in ("pure", "keyed"):
                    raise InDoubt from failure
                if failure.kind == "arguments":
                    raise Einval(failure.message, call="tool_call", detail={"tool": run.name}) from failure
                again = failure.begun or failure.kind == "unavailable"
                if not again or attempt == limits.TOOL_ATTEMPTS_MAX:
                    raise Etool(
                        failure.message, call="tool_call", detail={"cause": failure.kind, "tool": run.name}
                    ) from failure
                attempt += 1
            except Exception as error:
                # The driver failed in its own way; what it had begun by then nobody knows.
                if run.effect not in ("pure", "keyed"):
                    raise InDoubt from error
                raise
