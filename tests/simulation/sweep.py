"""Sweeps: one point after the other, or one seed after the other. A failure says how to have that very point again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Kill = Callable[[Path, int, str], Coroutine[Any, Any, bool]]
"""Kills a kernel at the point of that number, `before` or `after` it, in a folder; False where it is not reached."""


@contextmanager
def again(test: Callable[..., object], *args: object, **named: object) -> Generator[None]:
    """Add to what is raised within how to run this one alone."""
    try:
        yield
    except BaseException as error:
        given = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in named.items())])
        error.add_note(f'again: python -c "from {test.__module__} import {test.__name__} as t; t({given})"')
        raise


def kill_once(check: Callable[[int, str], object], kill: Kill, number: int, when: str) -> bool:
    """One point, in a folder of its own; `check` is how the test's module calls this."""
    with tempfile.TemporaryDirectory() as folder, again(check, number, when):
        return asyncio.run(kill(Path(folder), number, when))


def kill_everywhere(check: Callable[[int, str], bool], when: str, step: int = 1) -> int:
    """Each point from the first, `step` apart, until one is not reached any more; that one's number."""
    number = 1
    while check(number, when):
        number += step
    return number
