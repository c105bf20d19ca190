"""One person's talk with one process: what they say goes out, what anybody hears comes in, at any time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from prytany.abi.control import SESSION_ENDED, Said, SessionRow
from prytany.abi.errors import Eagain, Epipe, Esrch, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.abi.signals import Signal
from prytany.cli.attached import command
from prytany.cli.failure import advised
from prytany.cli.screen import Screen, ended_line
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

RETURN_S = 30.0
"""How long a kernel that went away is waited for."""
LOOK_NS = 200_000_000
REMEMBERED = 64
"""Replies that came before it was known whose they are."""


class Talk:
    """See the module."""

    def __init__(self, client: Client, pid: int, after: int, screen: Screen, *, session: bool, own: bool) -> None:
        """`session` says whether there is one; `own` that the kernel lives in this process, and is not waited for."""
        self.client = client
        self.pid = pid
        self.session = session
        self.screen = screen
        self.own = own
        self._after = after
        self._mine: deque[int] = deque(maxlen=REMEMBERED)
        self._early: deque[Said] = deque(maxlen=REMEMBERED)
        self._waiting: dict[int, asyncio.Future[Said]] = {}
        self._sending = asyncio.Lock()
        self._answering = False
        self._interrupting = False
        self._signals: set[asyncio.Future[None]] = set()
        self._attending: asyncio.Future[SessionRow] | None = None
        self.ended: Said | None = None

    # What goes out.

    async def say(self, text: str) -> Said:
        """Say it, and wait until it is answered; the reply."""
        return await self.tell("say", {"text": text})

    async def tell(self, kind: str, body: dict[str, object]) -> Said:
        """Send a message of that type; the reply. Raises KernelError where it cannot be sent."""
        if not self.client.live:  # what is sent to a home without a kernel would keep the next from its lock
            raise advised(Eagain("the kernel is away"), "say it again when it is back")
        async with self._sending:
            number = await self.client.send(self.pid, kind, body)
            self._mine.append(number)
        reply: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            for said in self._early:
                if said.number == number:
                    return said
            return await reply
        finally:
            del self._waiting[number]

    @property
    def busy(self) -> bool:
        """An answer is under way, whoever asked; or what is being sent asks for one."""
        return self._answering or bool(self._waiting) or self._sending.locked()

    def interrupt(self) -> bool:
        """End the answer in hand; False where there is none, or where that was asked for already."""
        if not self.busy or self._interrupting:
            return False
        self._interrupting = True
        self._signal()
        return True

    def _signal(self) -> None:
        sending = asyncio.ensure_future(self._send_signal())
        self._signals.add(sending)
        sending.add_done_callback(self._signals.discard)

    async def _send_signal(self) -> None:
        with contextlib.suppress(KernelError):  # it may have ended meanwhile, or not begun
            if self.client.live:
                await self.client.signal(self.pid, int(Signal.USR1))

    # What comes in.

    async def listen(self) -> None:
        """Show what is heard, until the process has ended. Raises Esrch where it had, and Epipe without a kernel."""
        self._attend()
        try:
            while self.ended is None:
                try:
                    heard = await self.client.hear(self.pid, self._after)
                except (Epipe, Eagain) as error:
                    await self._wait_for_kernel(error)
                    continue
                for said in heard.said:
                    await self._heard(said)
                self._after = heard.last
        finally:
            if self._attending is not None:
                self._attending.cancel()

    async def _heard(self, said: Said) -> None:
        mine = False
        match said.kind:
            case "said":
                async with self._sending:  # what is being sent has its number soon
                    mine = said.number in self._mine
                self._answering = True
            case "model" | "tool":
                self._answering = True
                if self._interrupting:  # the signal came before anybody there heeded it
                    self._signal()
            case "reply" | "done":
                self._answering = self._interrupting = False
                self._answered(said)
                if said.kind == "done":
                    return
            case "ended":
                self.ended = said
                if said.value == SESSION_ENDED and not self.screen.as_json:
                    self.screen.line(f"[the session has ended{await self._why()}]")
                    return
            case _:
                pass
        self.screen.show(said, mine)

    async def _why(self) -> str:
        """Why the session was ended, where that is known."""
        with contextlib.suppress(KernelError):
            row = next((row for row in await self.client.sessions() if row.session == self.pid), None)
            return f": {row.reason}" if row is not None and row.reason else ""
        return ""

    def _answered(self, said: Said) -> None:
        waiting = self._waiting.get(said.number)
        if waiting is None:
            self._early.append(said)
        elif not waiting.done():
            waiting.set_result(said)

    def _attend(self) -> None:
        if self.session:
            attending = self._attending = asyncio.ensure_future(self.client.attend(self.pid))
            # It ends with the connection or the session, and whoever listens hears of both.
            attending.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _wait_for_kernel(self, error: KernelError) -> None:
        if self.own:
            raise error
        self.screen.line("[the kernel went away; waiting for it to come back]")
        clock = SystemClock()
        until_ns = clock.now_ns() + int(RETURN_S * 1e9)
        while clock.now_ns() < until_ns:
            await clock.sleep_until(clock.now_ns() + LOOK_NS)
            with contextlib.suppress(KernelError):
                await self.client.reach()
                if self.client.live:
                    await self.client.inspect(self.pid)
                    self.screen.line("[it is back]")
                    self._attend()
                    return
        back = command(f"attach {format_pid(Pid(self.pid))}", self.client.home)
        raise advised(
            Epipe("the kernel went away and did not come back"),
            f"bring it up with: {command('up', self.client.home)}, and come back with: {back}",
        )


def gone(talk: Talk, error: Esrch) -> KernelError:
    """`error`, as what it is for somebody who talks."""
    name = format_pid(Pid(talk.pid))
    how = command(f"inspect {name}", talk.client.home)
    return advised(Epipe(ended_line(talk.pid, error.message)), f"see how with: {how}")
