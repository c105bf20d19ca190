"""What a kernel shows never holds it: a terminal or a pipe that nobody reads."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Callable, Iterator

import pytest

from prytany.cli.aside import PENDING_MAX, Aside

Ends = tuple[int, int]


@pytest.fixture(params=[pty.openpty, os.pipe], ids=["terminal", "pipe"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    opened: Callable[[], Ends] = request.param
    read, write = opened()
    yield read, write
    os.close(read)


def test_who_writes_to_what_nobody_reads_goes_on(ends: Ends) -> None:
    aside = Aside(ends[1])

    def work() -> None:
        for _ in range(PENDING_MAX * 4):
            aside.write("x" * 4_000)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(20)
    assert not worker.is_alive()


def test_what_is_read_comes_whole_and_in_order(ends: Ends) -> None:
    aside = Aside(ends[1])
    for n in range(50):
        print(f"line {n}", file=aside, flush=True)
    aside.settle()
    seen = b""
    while b"line 49" not in seen:
        seen += os.read(ends[0], 1 << 16)
    assert seen.decode().split() == " ".join(f"line {n}" for n in range(50)).split()
