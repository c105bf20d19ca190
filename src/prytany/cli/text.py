"""Text of agents, models and tools, made safe for a terminal."""

from __future__ import annotations

import os
import sys


def safe(text: str, *, lines: bool = False) -> str:
    """`text` with every control and format character shown as an escape; line ends are kept where `lines` says so."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def shown_number(n: int) -> str:
    """How people read the number of what needs a person: `4`, or `@57` for a call that nobody waits for any more."""
    return str(n) if n >= 0 else f"@{-n}"


def read_number(text: str) -> int:
    """The number that a person wrote; raises ValueError when it is none."""
    digits = text.removeprefix("@")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
        raise ValueError(f"{text!r} is not the number of a call, as `incidents` shows it")
    return int(digits) if digits == text else -int(digits)


def say(text: str, *, lines: bool = False) -> None:
    """A line on standard error, made safe. When nobody reads that any more, it goes nowhere, and the work goes on."""
    try:
        print(safe(text, lines=lines), file=sys.stderr, flush=True)
    except BrokenPipeError:
        # What is still in the buffer is written at exit, where it would turn the exit code into 120.
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 2)
        os.close(nowhere)
