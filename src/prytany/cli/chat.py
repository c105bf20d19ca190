"""`chat` and `attach`: a person and an agent, line by line; answers as they come, interrupted with Ctrl-C.

A session is a run: its root is the agent, its user whoever began it, and it ends when that process ends. Where a kernel
runs in the home, the session is one of it; else a kernel lives here, for as long as the session does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from prytany.abi.control import Said
from prytany.abi.errors import Einval, Enoent, Epipe, Esrch, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.signals import Signal
from prytany.cli.attached import command
from prytany.cli.failure import INTERRUPTED, advised
from prytany.cli.text import json_line, note, safe
from prytany.client import Client

SESSION = "Session"
"""The function of a chat agent's program that keeps a conversation."""
PROMPT = "> "
LINE_BYTES_MAX = 1 << 20
LINE_TOO_LONG = "a line has at most a million bytes"
GRACE_S = 5.0
"""How long a session has to end, before it is killed."""


class Talk:
    """One person's talk with one process."""

    def __init__(self, client: Client, pid: int, after: int, as_json: bool) -> None:
        self._client = client
        self._pid = pid
        self._after = after
        self._as_json = as_json
        self._streamed = ""
        self._asking = False
        self._interrupting: asyncio.Future[None] | None = None
        self.ended: Said | None = None

    async def say(self, text: str) -> None:
        """Send it, and show what comes until it is answered."""
        self._asking = True
        try:
            await self._listen(await self._client.send(self._pid, "say", {"text": text}))
        finally:
            self._asking = False

    def interrupt(self) -> bool:
        """End the answer in hand; whether there is one."""
        if self._asking:
            self._interrupting = asyncio.ensure_future(self._interrupt())
        return self._asking

    async def _interrupt(self) -> None:
        with contextlib.suppress(KernelError):  # it may have ended meanwhile
            await self._client.signal(self._pid, int(Signal.USR1))

    async def _listen(self, number: int) -> None:
        while self.ended is None:
            heard = await self._client.hear(self._pid, self._after)
            self._after = heard.last
            for said in heard.said:
                if self._as_json:
                    print(json_line(said), flush=True)
                else:
                    self._show(said)
                if said.kind == "ended":
                    self.ended = said
                if said.kind == "reply" and said.number == number:
                    return

    def _show(self, said: Said) -> None:
        match said.kind:
            case "model":
                self._streamed = ""
            case "piece":
                self._streamed += str(said.value)
                _write(safe(str(said.value), lines=True))
            case "tool":
                self._line(f"[uses {said.value}]")
            case "incident":
                self._line(f"[needs a person: {said.value}; {command('incidents', self._client.home)}]")
            case "reply":
                self._reply(said)
            case _:
                self._line(f"[{format_pid(Pid(self._pid))} has ended: {said.value}]")

    def _reply(self, said: Said) -> None:
        value: Any = said.value
        if said.errno:
            self._line(f"[{said.errno}: {value[0]}]")
        elif _has(value, "interrupted"):
            self._line("[interrupted]")
        elif _has(value, "error"):
            self._line(f"[{value['error']['errno']}: {value['error']['message']}]")
        else:
            answer: Any = value["answer"] if _has(value, "answer") else value
            text = answer if isinstance(answer, str) else json_line(answer)
            if text == self._streamed or (not isinstance(answer, str) and self._streamed):
                _write("\n")
            else:
                self._line(text)

    def _line(self, text: str) -> None:
        _write(("\n" if self._streamed else "") + safe(text, lines=True) + "\n")
        self._streamed = ""


def _has(value: object, key: str) -> bool:
    return isinstance(value, dict) and key in value


async def talk_with(
    client: Client, start: Callable[[], Any], as_json: bool, *, keep: bool
) -> int:  # fmt: skip
    """Talk until the lines end or the process does; the exit code. `start` gives its pid; `keep` lets it live on."""
    after = (await client.status()).head
    pid = await start()
    talk = Talk(client, pid, after, as_json)
    name, home = format_pid(Pid(pid)), client.home
    note(
        f"process {name}; Ctrl-C ends an answer, Ctrl-D the session; {command(f'attach {name}', home)} comes back",
        as_json,
        pid=pid,
    )
    loop, own = asyncio.get_running_loop(), asyncio.current_task()
    loop.add_signal_handler(signal.SIGINT, lambda: talk.interrupt() or (own and own.cancel()))
    try:
        async for line in _lines(not as_json):
            if line.strip():
                await talk.say(line)
            if talk.ended is not None:
                return talk.ended.number
    except Esrch:
        raise advised(Epipe(f"process {name} has ended"), f"see how with: {command(f'inspect {name}', home)}") from None
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if not keep and talk.ended is None:
            await _end(client, pid)
    return 0


async def _end(client: Client, pid: int) -> None:
    """Ask the session to end, and see that it does."""
    for number in (Signal.TERM, Signal.KILL):
        with contextlib.suppress(KernelError, TimeoutError):
            await client.signal(pid, int(number))
            async with asyncio.timeout(GRACE_S):
                await client.wait(pid)
                return


async def _lines(prompted: bool) -> AsyncIterator[str]:
    """The lines of standard input, as they are typed."""
    loop = asyncio.get_running_loop()
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)):
        # A file, or a device such as /dev/null: it is there at once, and a loop that is to wait for it aborts.
        while line := sys.stdin.buffer.readline(LINE_BYTES_MAX + 1):
            if len(line) > LINE_BYTES_MAX:
                raise Einval(LINE_TOO_LONG)
            yield line.decode("utf-8", "replace").rstrip("\n")
        return
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    prompting = prompted and sys.stdin.isatty()
    try:
        while True:
            if prompting:
                _write(PROMPT)
            try:
                line = await reader.readline()
            except ValueError:
                raise Einval(LINE_TOO_LONG) from None
            if not line:
                return
            yield line.decode("utf-8", "replace").rstrip("\n")
    finally:
        transport.close()
        os.set_blocking(0, True)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def agent_of(rows: list[Any], agent: str) -> tuple[str, str]:
    """The fleet that is up and has the agent, and the agent; "" is the only one there is. Raises Enoent, Einval."""
    found = [(row.name, name) for row in rows if row.stays for name in row.agents if agent in ("", name)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted({name for row in rows if row.stays for name in row.agents})) or "none"
    if not found:
        raise advised(Enoent(f"no fleet that is up has an agent {agent!r}"), f"there are {there}")
    raise advised(Einval("which agent is meant?"), f"name one of {there}")
