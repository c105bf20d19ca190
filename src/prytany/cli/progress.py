"""What a run shows while it goes on: a line for what each process does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from prytany.abi import events as ev
from prytany.cli.attached import command
from prytany.cli.numbers import shown_number
from prytany.cli.text import json_line, processes, safe
from prytany.ports import memory

OF_BUDGET = "budget: "
"""How the reason of a process begins that is stopped for want of one."""

MORE = {
    " of $": "usd=1",
    "of a dollar": "usd=1",
    " calls ": "calls=10",
    "the time of": "wall=1h",
    "of processor": "processor=1m",
}
"""What is proposed to be added, by what the reason says; else tokens."""


class Progress:
    """Turns durable events into plain lines, or into lines of JSON."""

    def __init__(self, say: Callable[[str], None], home: Path, as_json: bool = False) -> None:
        self._say = say
        self._home = home
        self._as_json = as_json
        self._names: dict[int, str] = {}
        self.lines = 0
        """How many were said."""
        self._lines_before = 0
        self._answered = 0

    def name(self, pid: int, name: str, stands: str = "") -> None:
        """A process that was there before, and where it stands; "" for one that has ended."""
        self._names[pid] = name

    def begin(self) -> None:
        """From here on the run is waited for; until `end`, nobody else writes to the terminal."""

    def end(self) -> None:
        """The run has ended, or is left."""

    def __call__(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """One durable entry."""
        for event in events:
            self._on(event)

    def tell(self, pid: int, what: str) -> None:
        """What a process does, or is done to it."""
        self.lines += 1
        name = self._names.get(pid, "?")
        if self._as_json:
            self._say(json_line({"note": what, "pid": pid, "name": name}))
        else:
            self._say(f"{pid:>5}  {safe(name):<28} {what}")

    def announce(self, what: str) -> None:
        """What is of no one process."""
        self._say(json_line({"note": what}) if self._as_json else f"       {what}")

    def go_on(self, alive: int, waiting: int = 0) -> None:
        """Say how it stands, where nothing was said since this was asked before."""
        if self.lines == self._lines_before:
            what = f"goes on: {processes(alive)}, {self._answered} model calls answered"
            if waiting >= alive:
                what += f"; all wait, for what says {command('ps', self._home)}"
            self.announce(what)
        self._lines_before = self.lines

    def _on(self, event: ev.Event) -> None:
        match event:
            case ev.ProcessSpawned():
                self._names[event.pid] = event.name
            case ev.ProcessHandedOff():
                self.tell(event.pid, f"hands over to {safe(event.agent)}")
                self._names[event.pid] = event.name
            case ev.ProcessStarted():
                self.tell(event.pid, "starts")
            case ev.CallOpened(call="model_chat"):
                self.tell(event.pid, "asks the model")
            case ev.ModelQueued():
                self.tell(event.pid, f"waits for its turn at {safe(event.model)}")
            case ev.ProcessPaused() if event.reason.startswith(OF_BUDGET):
                self.tell(event.pid, f"is stopped: {event.reason}; {self._add(event.pid, event.reason)}")
            case ev.ToolCalled():
                self.tell(event.pid, f"calls {event.tool} ({event.effect})")
            case ev.ModelUsed(cause=""):
                self._answered += 1
                took = f"{event.took_us / 1e6:.1f} s"
                tokens = f"{event.prompt_tokens} + {event.completion_tokens} tokens"
                self.tell(event.pid, f"has its answer: {tokens}, {took}")
            case ev.ModelUsed(cause=ev.HELD):
                self.tell(event.pid, "asks the model when a kernel goes on")
            case ev.ModelUsed():
                self.tell(event.pid, f"got no answer ({event.cause})")
            case ev.IncidentOpened():
                self.tell(event.pid, f"needs a person: {event.kind}; {self._settle(event)}")
            case ev.ProcessPaused(reason=memory.PRESSURE):
                self.tell(event.pid, f"stands still: {event.reason}; it goes on when there is room")
            case ev.MessageDead():
                self.tell(event.receiver, f"puts message {event.number} aside ({event.reason})")
            case ev.ProcessFailed():
                self.tell(event.pid, f"fails, and is begun again: {event.reason} (status {event.status})")
            case ev.ProcessExited():
                self.tell(event.pid, f"ends: {event.reason} (status {event.status})")
            case ev.ProcessReaped():
                self._names.pop(event.pid, None)
            case ev.NoticeMissed(until_ns=0):
                what = f"a notice could not be delivered ({event.cause}); see {command('notify', self._home)}"
                self.announce(what)
            case _:
                pass

    def _add(self, pid: int, reason: str) -> str:
        more = next((more for word, more in MORE.items() if word in reason), "tokens=10000")
        return f"let it go on with: {command(f'budget {pid} --add {more}', self._home)}  (why {pid} says how much)"

    def _settle(self, event: ev.IncidentOpened) -> str:
        if event.n < 0:
            return command(f"incidents skip {event.pid} {shown_number(event.n)}", self._home)
        retry = command(f"incidents retry {event.pid} {event.n}", self._home) + "  (or skip, give)"
        if event.kind == "bad_key":  # a variable that this kernel was given stays what it has
            return (
                f"stop this, set PRYTANY_MODEL_KEY, and {command('resume', self._home)}; of a fleet that is up, mend"
                f" its secret, and {command('up', self._home)}; then {retry}"
            )
        return retry
