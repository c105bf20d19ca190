"""What a run writes for people, while it goes on: to standard output, as it becomes durable."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.cli.text import close_output, json_line, safe
from prytany.ports.store import StoreError

Content = Callable[[bytes, int], bytes]
Watch = Callable[[int, int, Sequence[ev.Event]], None]


class Outflow:
    """A watcher that shows what is written to nobody else, and tells another watcher of everything."""

    def __init__(self, watch: Watch, as_json: bool) -> None:
        """`content`, stored content by digest and entry, is given when a kernel is there."""
        self._watch = watch
        self._as_json = as_json
        self._open = False  # a line was begun
        self._gone = False
        self.content: Content | None = None

    def __call__(self, seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        """One durable entry."""
        for event in events:
            if type(event) is ev.PipeWritten and event.shown:
                self._show(event, seq)
        self._watch(seq, time_ns, events)

    def end(self) -> None:
        """Nothing more comes: the last line has an end."""
        if self._open:
            self._write("\n")

    def _show(self, event: ev.PipeWritten, seq: int) -> None:
        try:
            content = self.content(event.chunk, seq) if self.content is not None else b""
        except (KernelError, StoreError):
            return  # it was forgotten
        data: Any = msgspec.msgpack.decode(content)["data"] if content else ""
        if self._as_json:
            self._write(f"{json_line({'output': data, 'pid': event.pid})}\n")
        elif isinstance(data, str):
            self._write(safe(data, lines=True))
        else:
            self._write(("\n" if self._open else "") + json_line(data) + "\n")

    def _write(self, text: str) -> None:
        if self._gone or not text:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
            self._open = not text.endswith("\n")
        except OSError:  # nobody reads it any more, and the run goes on
            self._gone = True
            close_output()
