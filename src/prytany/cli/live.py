"""What a run shows on a terminal: a table that is drawn again in its place, at most eight times a second.

It knows the processes that are alive, from the durable events. What it draws is bounded: the processes to which
something happened last, as many as have room, and one line for the rest. The terminal's modes and its cursor are never
touched, so however this ends, even by SIGKILL, there is nothing to set right. Behind another program of the terminal
(`prytany up &`) nothing is drawn, and only who fails or needs a person is said; `fg` brings the table back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from prytany.abi import events as ev
from prytany.cli.aside import Aside
from prytany.cli.attached import duration
from prytany.cli.progress import OF_BUDGET, Progress
from prytany.cli.table import COLOURS, clipped
from prytany.cli.text import processes, safe, say
from prytany.cli.totals import money
from prytany.drivers.clocks.system import SystemClock
from prytany.ports.memory import PRESSURE

FRAME_S = 1 / 8
STILL_S = 1.0
"""After how long without news it is drawn again: times go on."""
ROWS_MAX = 20
ROWS_BESIDE = 6
"""Of the terminal, for the head, the sums, and a line before and after."""
NAME_CELLS_MAX = 28
WAITS = {
    "process_wait": "a child", "timer_wait": "a time", "message_receive": "a message", "message_next": "a message",
    "message_call": "a reply", "model_chat": "the model", "model_embed": "the model", "tool_call": "a tool",
}  # fmt: skip
"""What an open call waits for, in a word."""
PACED = ", at its bytes a second"


def in_front(fd: int = 2) -> bool:
    """Whether this is what its terminal belongs to now; so it is on one that has no jobs."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


class _Console(Console):
    """A console that leaves the cursor alone."""

    def show_cursor(self, show: bool = True) -> bool:
        """Nothing: a process that is killed could not show it again."""
        return False


class _Row:
    """What is known of one process."""

    __slots__ = ("began_ns", "calls", "cost", "kind", "name", "person", "since_ns", "stood", "tokens")

    def __init__(self, name: str, now_ns: int) -> None:
        self.name = name
        self.kind = "ready"
        self.calls: dict[int, str] = {}
        self.person = ""
        self.stood = ""  # where it stood when it was brought back, until something happens
        self.tokens = self.cost = 0
        self.began_ns = self.since_ns = now_ns


class LiveProgress(Progress):
    """The same events as `Progress` takes, as a table; above it stands a line for who needs a person, and who fails."""

    def __init__(self, home: Path, console: Console | None = None, front: Callable[[], bool] = in_front) -> None:
        super().__init__(self._say_line, home)
        self._front = front
        self._aside: Aside | None = None
        if console is None:
            self._aside = Aside()
            console = _Console(file=self._aside, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
        self._console = console
        self._clock = SystemClock()
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rows: dict[int, _Row] = {}  # the one to which something happened last is the last
        self._done: dict[int, _Row] = {}  # the last that ended: they are shown where there is room
        self._began_ns = self._clock.now_ns()
        self._ended = self._tokens = self._cost = 0
        self._changed = False

    def begin(self) -> None:
        """Draw from here on."""
        if self._front():
            self._appear()
        self._timer = asyncio.get_running_loop().call_later(FRAME_S, self._tick, 0)

    def end(self) -> None:
        """The last picture stays; what follows stands below it."""
        self._look()
        live, self._live = self._live, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if live is not None:
            with contextlib.suppress(OSError):
                live.refresh()
                live.stop()
        if self._aside is not None:
            self._aside.settle()

    def _appear(self) -> None:
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False,
            get_renderable=self.picture, vertical_overflow="crop",
        )  # fmt: skip
        self._live.start(refresh=True)

    def _look(self) -> bool:
        """Whether to draw. Where another program has the terminal, the table is left as it stands, without a byte."""
        if self._front():
            return True
        if self._live is not None:
            self._live = None
            self._console.clear_live()
            self._console.pop_render_hook()
        return False

    def go_on(self, alive: int, waiting: int = 0) -> None:
        """Whoever looks sees it."""

    def name(self, pid: int, name: str, stands: str = "") -> None:
        """A process that was there before."""
        super().name(pid, name, stands)
        if stands:
            row = self._rows[pid] = _Row(safe(name), self._clock.now_ns())
            row.stood = stands

    def tell(self, pid: int, what: str) -> None:
        """Nothing: the table shows it."""

    def _say_line(self, text: str) -> None:
        self._look()
        if self._live is None:
            say(text)
        else:
            with contextlib.suppress(OSError):  # the terminal is gone, and the run is not
                self._console.print(Text(safe(text)))

    def _tick(self, still: int) -> None:
        """Draw what has changed since the last picture, and the times once a second."""
        still += 1
        if self._look() and (self._changed or self._live is None or still * FRAME_S >= STILL_S):
            self._changed, still = False, 0
            try:
                if self._live is None:
                    self._appear()
                else:
                    self._live.refresh()
            except OSError:  # the terminal is gone
                self.end()
                return
        self._timer = asyncio.get_running_loop().call_later(FRAME_S, self._tick, still)

    def _on(self, event: ev.Event) -> None:
        super()._on(event)
        pid = getattr(event, "pid", 0)
        if isinstance(event, ev.ProcessSpawned):
            self._rows[pid] = _Row(safe(event.name), self._clock.now_ns())
        row = self._rows.get(pid)
        if row is None:
            return
        if isinstance(event, ev.ProcessHandedOff):
            row.name = safe(event.name)
            row.calls.clear()
        if isinstance(event, ev.ProcessExited):
            self._done[pid] = self._rows.pop(pid)
            if len(self._done) > ROWS_MAX:
                self._done.pop(next(iter(self._done)))
            row.kind, row.person, row.stood = "terminated", "", f"ended: {event.reason}"
            row.calls.clear()
            row.since_ns = self._clock.now_ns() - row.began_ns  # how long it took
            self._ended += 1
            if event.status:
                self._say_line(f"{pid:>5}  {clipped(row.name, NAME_CELLS_MAX):<28} ends: {event.reason}"
                               f" (status {event.status})")  # fmt: skip
        elif self._take(row, event):
            row.since_ns, row.stood = self._clock.now_ns(), ""
            self._rows[pid] = self._rows.pop(pid)
        self._changed = True

    def _take(self, row: _Row, event: ev.Event) -> bool:
        """What an event says of a process; whether it does something else since."""
        match event:
            case ev.ProcessStarted() | ev.ProcessContinued():
                row.kind = "running"
            case ev.ProcessPaused():
                row.kind = "stopped"
                row.calls.clear()
                name = clipped(row.name, NAME_CELLS_MAX)
                if event.reason == PRESSURE:
                    self._say_line(f"{event.pid:>5}  {name:<28} stands still: {PRESSURE}")
                elif event.reason.startswith(OF_BUDGET):
                    self._say_line(
                        f"{event.pid:>5}  {name:<28} is stopped: {event.reason}; {self._add(event.pid, event.reason)}"
                    )
            case ev.ModelQueued():
                row.calls[event.n] = f"its turn at {event.model}"
            case ev.ModelReserved():
                row.calls[event.n] = WAITS["model_chat"]
            case ev.ProcessReady():
                row.kind = "ready"
                row.calls.clear()
            case ev.ProcessFailed():
                row.kind = "ready"
                row.calls.clear()
                self._say_line(f"{event.pid:>5}  {clipped(row.name, NAME_CELLS_MAX):<28} fails, and is begun again:"
                               f" {event.reason} (status {event.status})")  # fmt: skip
            case ev.CallOpened():
                row.calls[event.n] = WAITS.get(event.call, event.call)
            case ev.ToolCalled():
                row.calls[event.n] = f"tool {event.tool}"
            case ev.CallPaced():
                called = row.calls.get(event.n, "").partition(PACED)[0]
                row.calls[event.n] = called + PACED if event.waits else called
            case ev.CallClosed():
                row.calls.pop(event.n, None)
            case ev.ModelUsed():
                tokens = event.prompt_tokens + event.completion_tokens
                row.tokens += tokens
                row.cost += event.cost_usd_micros
                self._tokens += tokens
                self._cost += event.cost_usd_micros
                return False
            case ev.IncidentOpened():
                row.person = event.kind
                self._say_line(f"{event.pid:>5}  {row.name} needs a person: {event.kind}; {self._settle(event)}")
            case ev.IncidentClosed():
                row.person = ""
            case _:
                return False
        return True

    def picture(self) -> Table:
        """The table as it stands."""
        now_ns = self._clock.now_ns()
        size = self._console.size
        most = max(1, min(ROWS_MAX, size.height - ROWS_BESIDE))
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for title, right in (("PID", True), ("NAME", False), ("DOES", False), ("FOR", True), ("TOKENS", True),
                             ("COST", True)):  # fmt: skip
            table.add_column(title, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
        recent = list(islice(reversed(self._rows), most))
        shown = {pid: self._rows[pid] for pid in recent}
        shown |= {pid: self._done[pid] for pid in islice(reversed(self._done), most - len(shown))}
        for pid, row in sorted(shown.items()):
            does, style = _does(row)
            since_ns = row.since_ns if row.kind == "terminated" else now_ns - row.since_ns
            table.add_row(
                str(pid), Text(clipped(row.name, NAME_CELLS_MAX)), Text(safe(does), style=style),
                duration(since_ns), str(row.tokens), money(row.cost),
            )  # fmt: skip
        if rest := len(self._rows) - len(recent):
            table.add_row("", Text(f"and {processes(rest)} more"), "", "", "", "")
        sums = f"{len(self._rows)} alive, {self._ended} ended, {self._answered} model calls answered"
        table.add_row(
            "", Text("all", style="bold"), Text(sums, style="bold"), duration(now_ns - self._began_ns),
            str(self._tokens), money(self._cost),
        )  # fmt: skip
        return table


def _does(row: _Row) -> tuple[str, str]:
    """What it does or waits for, and the colour of that."""
    if row.person:
        return f"waits for a person: {row.person}", COLOURS["failed"]
    if row.calls:
        what = next(iter(row.calls.values()))
        more = f" (+{len(row.calls) - 1})" if len(row.calls) > 1 else ""
        return f"waits for {what}{more}", COLOURS["waiting"]
    if row.kind == "terminated":
        return row.stood, COLOURS[row.kind]
    if row.stood:
        return f"is brought back: {row.stood}", COLOURS["ready"]
    return {"ready": "waits for a place", "running": "runs", "stopped": "is stopped"}[row.kind], COLOURS[row.kind]
