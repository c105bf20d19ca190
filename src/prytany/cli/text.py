"""Text of agents, models and tools, made safe for a terminal."""

from __future__ import annotations

import os
import sys


def safe(text: str, *, lines: bool = False) -> str:
    """`text` with every control and format character shown as an escape; line ends are kept where `lines` says so."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def say(text: str, *, lines: bool = False) -> None:
    """A line on standard error, made safe. When nobody reads that any more, it goes nowhere, and the work goes on."""
    try:
        print(safe(text, lines=lines), file=sys.stderr, flush=True)
    except BrokenPipeError:
        # What is still in the buffer is written at exit, where it would turn the exit code into 120.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 2)
        os.close(nowhere)
