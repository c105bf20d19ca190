"""A talk from its first line to its last: what is typed is said, what is heard is shown, and signals are heeded.

Ctrl-C ends the answer in hand; a second one, or one where nothing is being answered, leaves. On a terminal the latter
has to be given twice. Who leaves says so, unless the terminal itself goes: then a session waits for its grace time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from prytany.abi import limits
from prytany.abi.control import AccountRow, Said
from prytany.abi.errors import Eintr, Einval, Eio, Esrch, KernelError, error_of
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command
from prytany.cli.failure import INTERRUPTED, advised
from prytany.cli.lines import Lines, all_of_input, checked
from prytany.cli.may_spend import say_accounts
from prytany.cli.outlet import Untaken
from prytany.cli.screen import Screen
from prytany.cli.slash import carry_out, command_of, refused
from prytany.cli.talk import Talk, gone
from prytany.cli.text import close_output, note
from prytany.cli.wait import model_advice
from prytany.client import Client

END_S = limits.SESSION_CLOSE_MS / 1_000 + 2
"""How long who leaves waits for the end of what ends with it."""
ANSWER_S = 2.0
"""How long who leaves waits for a kernel that does not answer."""
LEAVING_S = 0.5
"""After how long it is said that somebody is still leaving."""


async def talk_with(
    client: Client,
    pid: int,
    after: int,
    as_json: bool,
    say: str | None,
    *,
    session: bool,
    own: bool,
    recalls: int = 0,
    accounts: Sequence[AccountRow] | None = None,
) -> int:
    """Talk until the lines end or the process does; the exit code.

    Args:
        client: of a kernel that runs.
        pid: the process; of a session, its number as well.
        after: the entry from which on is heard.
        as_json: what is heard is shown as JSON lines.
        say: one message, `-` for all of standard input; None for line by line.
        session: there is one.
        own: the kernel lives in this process.
        recalls: what was heard up to there is only for a person at a terminal.
        accounts: what a session that has just begun may spend, to be said at its start.
    """
    screen = Screen(as_json, command("incidents", client.home), alone=say is not None,
                    why=command(f"why {format_pid(Pid(pid))}", client.home))  # fmt: skip
    lines = Lines(screen.prompt, plain=as_json or say is not None)
    screen.with_prompt(lambda: lines.begun)
    if recalls and not (lines.typed or as_json):
        after = recalls
    talk = Talk(client, pid, after, screen, session=session, own=own)
    try:
        return await _Conversation(talk, lines).run(say, accounts)
    finally:
        lines.close()


def _greet(talk: Talk, as_json: bool) -> None:
    name, home = format_pid(Pid(talk.pid)), talk.client.home
    what = "session" if talk.session else "process"
    note(
        f"{what} {name}; Ctrl-C ends an answer, Ctrl-D leaves, /help says more; {command(f'attach {name}', home)}"
        " comes back",
        as_json, pid=talk.pid, session=talk.pid if talk.session else 0,
    )  # fmt: skip


class _Conversation:
    """One talk, with its signals."""

    def __init__(self, talk: Talk, lines: Lines) -> None:
        self._talk = talk
        self._lines = lines
        self._task: asyncio.Task[Any] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._code = 0
        self._warned = False
        self._silent = False
        self._untaken = False
        """A signal was heeded by a write that waited; the loop hears of it as well, and later."""

    async def run(self, say: str | None, accounts: Sequence[AccountRow] | None = None) -> int:
        """Until the lines end, the process does, or somebody has enough; the exit code."""
        loop = asyncio.get_running_loop()
        talk = self._talk
        speaking: Coroutine[Any, Any, int] = self._speak() if say is None else self._say_one(say)
        self._task = speaker = asyncio.ensure_future(speaking)
        listener = asyncio.ensure_future(talk.listen())
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal, number)
            signal.signal(number, talk.screen.out.on_signal)  # the loop's own only has to be there
        try:
            if say is None:
                _greet(talk, talk.screen.as_json)
            if accounts is not None:  # said when signals are heeded: whoever waits for a word may send one
                say_accounts(accounts, talk.pid, talk.screen.as_json, session=talk.pid)
            first: list[asyncio.Future[Any]] = [speaker, listener]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if listener.done() and not speaker.done():
                return self._ended(listener)
            return self._code if speaker.cancelled() else speaker.result()
        except Esrch as error:
            raise gone(talk, error) from None
        except Untaken as untaken:
            close_output()
            self._untaken = True
            self._silent = untaken.number == signal.SIGHUP and not self._talk.own
            talk.screen.out.heeded()
            return INTERRUPTED if untaken.number == signal.SIGINT else 128 + untaken.number
        except OSError as error:
            if error.errno != errno.EIO or not self._lines.hung_up:
                raise
            close_output()
            self._silent = not self._talk.own
            return 128 + signal.SIGHUP
        finally:
            for task in (speaker, listener):
                task.cancel()
            with contextlib.suppress(Exception):
                await asyncio.gather(speaker, listener, return_exceptions=True)
            if not self._silent:
                await self._see_off()
            for number in signals:
                loop.remove_signal_handler(number)

    def _ended(self, listener: asyncio.Future[None]) -> int:
        listener.result()
        assert self._talk.ended is not None
        return self._talk.ended.number

    def _on_signal(self, number: int) -> None:
        assert self._task is not None
        self._talk.screen.out.heeded()
        if self._untaken:
            self._untaken = False
            return
        if self._leaving is not None:  # enough of that, too
            self._leaving.cancel()
            return
        if number == signal.SIGINT and self._talk.interrupt():
            return
        if number == signal.SIGINT and not self._talk.busy and self._lines.drop():
            self._talk.screen.line("[interrupted]")
            return
        if number == signal.SIGINT and self._lines.typed and not self._talk.busy and not self._warned:
            self._warned = True
            self._talk.screen.line("[Ctrl-C again leaves, as Ctrl-D does]")
            return
        self._code = INTERRUPTED if number == signal.SIGINT else 128 + number
        self._silent = number == signal.SIGHUP and not self._talk.own
        self._task.cancel()

    async def _speak(self) -> int:
        async for line in self._lines:
            self._warned = False
            if not line.strip():
                continue
            try:
                if name := command_of(line):
                    if await carry_out(self._talk, name):
                        return 0
                else:
                    await self._talk.say(line)
            except Esrch:
                raise
            except KernelError as error:  # a full mailbox, a kernel that refuses or is away: the talk goes on
                self._talk.screen.line(refused(error))
        if self._lines.hung_up:
            raise OSError(errno.EIO, "the terminal is gone")
        if self._lines.typed:
            sys.stdout.write("\n")
        return 0

    async def _say_one(self, text: str) -> int:
        message = all_of_input() if text == "-" else checked(text)
        if not message.strip():
            raise advised(Einval("there is nothing to say"), "give --say a text, or - and standard input")
        said = await self._talk.say(message)
        failed = failure_of(said)
        if failed is not None:
            raise failed
        return 0

    async def _see_off(self) -> None:
        """Leave; a signal meanwhile ends the waiting, and so does a kernel that says nothing."""
        self._leaving = leaving = asyncio.ensure_future(self._leave())
        done, _ = await asyncio.wait([leaving], timeout=LEAVING_S)
        if not done:
            self._say("[leaving; Ctrl-C again leaves at once]")
            await asyncio.wait([leaving])
        if leaving.cancelled() or isinstance(leaving.exception(), TimeoutError):
            self._say("[left without a word from the kernel: the session ends after its grace time]")
        else:
            leaving.result()

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._talk.screen.line(text)

    async def _leave(self) -> None:
        """Say that this one goes; where that ends the session, see that it does. Raises TimeoutError."""
        talk = self._talk
        if not talk.session or talk.ended is not None or not talk.client.live:
            return
        with contextlib.suppress(KernelError):
            async with asyncio.timeout(ANSWER_S):
                await talk.client.leave_session(talk.pid)
                row = next((row for row in await talk.client.sessions() if row.session == talk.pid), None)
            if row is not None and row.state == "closing":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(END_S):
                        await talk.client.wait(talk.pid)


def failure_of(said: Said) -> KernelError | None:
    """Why there is no answer."""
    value: Any = said.value
    if said.forgotten:
        return Eio("the answer was forgotten, by an operator's command")
    if said.errno:
        return error_of(said.errno, str(value[0]))
    if isinstance(value, dict) and "interrupted" in value:
        return advised(Eintr("the answer was interrupted"), "say it again")
    if isinstance(value, dict) and "error" in value:
        told: Any = said.value
        error = error_of(str(told["error"]["errno"]), str(told["error"]["message"]))
        return advised(error, advice) if (advice := model_advice(told["error"])) else error
    return None
