"""Text of agents, models and tools, made safe for a terminal, and JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec


def safe(text: str, *, lines: bool = False) -> str:
    """`text` with every control and format character shown as an escape; line ends are kept where `lines` says so."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def say(text: str, *, lines: bool = False) -> None:
    """A line on standard error, made safe. When nobody reads that any more, or the disk that it goes to is full, it
    goes nowhere, and the work goes on."""
    try:
        print(safe(text, lines=lines), file=sys.stderr, flush=True)
    except OSError:
        _to_nowhere(2)


def note(text: str, as_json: bool, **facts: Any) -> None:
    """What is said beside the result, on standard error; with `as_json` as `{"note": …}` and `facts`."""
    say(json_line({"note": text, **facts}) if as_json else text)


def processes(count: int) -> str:
    """How many, in words."""
    return f"{count} process{'' if count == 1 else 'es'}"


def size_said(size: int) -> str:
    """A number of bytes, for people."""
    scaled = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if scaled < 1000:
            return f"{scaled:.0f} {unit}" if unit == "bytes" else f"{scaled:.1f} {unit}"
        scaled /= 1000
    return f"{scaled:.1f} TB"


def json_line(value: object) -> str:
    """`value` as one line of JSON; what JSON does not have is written as text."""
    try:
        line = msgspec.json.encode(value, enc_hook=repr).decode()
    except UnicodeEncodeError:  # of a half of a pair of surrogates, which Python's text can hold and UTF-8 cannot
        return json_line(_whole(value))
    # What a terminal takes for a command can stand in texts alone, where JSON has escapes for it.
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def _whole(value: Any) -> Any:
    """`value` with each half of a pair of surrogates as an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def close_output() -> None:
    """Nobody reads standard output any more: what is still in its buffer goes nowhere."""
    _to_nowhere(1)


def _to_nowhere(fd: int) -> None:
    # What is still in the buffer is written at exit, where it would turn the exit code into 120.
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, fd)
    os.close(nowhere)
