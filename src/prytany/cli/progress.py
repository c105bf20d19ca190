"""What a run shows while it goes on: a line for what each process does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from prytany.abi import events as ev
from prytany.cli.attached import command
from prytany.cli.text import safe, shown_number


class Progress:
    """Turns durable events into plain lines."""

    def __init__(self, say: Callable[[str], None], home: Path) -> None:
        self._say = say
        self._home = home
        self._names: dict[int, str] = {}

    def name(self, pid: int, name: str) -> None:
        """A process that was there before."""
        self._names[pid] = name

    def __call__(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """One durable entry."""
        for event in events:
            line = self._line(event)
            if line:
                self._say(line)

    def _line(self, event: ev.Event) -> str:
        match event:
            case ev.ProcessSpawned():
                self._names[event.pid] = event.name
                return ""
            case ev.ProcessStarted():
                return self._of(event.pid, "starts")
            case ev.CallOpened(call="model_chat"):
                return self._of(event.pid, "asks the model")
            case ev.ToolCalled():
                return self._of(event.pid, f"calls {event.tool} ({event.effect})")
            case ev.ModelUsed(cause=""):
                took = f"{event.took_us / 1e6:.1f} s"
                return self._of(
                    event.pid, f"has its answer: {event.prompt_tokens} + {event.completion_tokens} tokens, {took}"
                )
            case ev.ModelUsed():
                return self._of(event.pid, f"got no answer ({event.cause})")
            case ev.IncidentOpened():
                return self._of(event.pid, f"needs a person: {event.kind}; {self._settle(event)}")
            case ev.ProcessExited():
                return self._of(event.pid, f"ends: {event.reason} (status {event.status})")
            case ev.ProcessReaped():
                self._names.pop(event.pid, None)
                return ""
            case _:
                return ""

    def _settle(self, event: ev.IncidentOpened) -> str:
        if event.n < 0:
            return command(f"incidents skip {event.pid} {shown_number(event.n)}", self._home)
        return command(f"incidents retry {event.pid} {event.n}", self._home) + "  (or skip, give)"

    def _of(self, pid: int, what: str) -> str:
        return f"{pid:>5}  {safe(self._names.get(pid, '?')):<28} {what}"
