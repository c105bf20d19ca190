"""How far long work is, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def bar(what: str, total: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error that moves to what it is called with, and is gone at the end; `total` 0 is not known."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda done: progress.update(task, completed=done, description=what if total else f"{what} {done:,}")
