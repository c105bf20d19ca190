"""Content that is not durable yet is found by its digest, and finding costs what was committed since."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from random import Random  # noqa: TID251 seeded
from typing import Any

from prytany.kernel.ledger import Durable, Ledger
from tests.simulation.looped import looped
from tests.unit.kernel.puppets import Stage


class Counted(deque[Any]):
    """Counts the entries that are looked at from its end."""

    looks = 0

    def __reversed__(self) -> Iterator[Any]:
        for entry in super().__reversed__():
            self.looks += 1
            yield entry


def hold(ledger: Ledger, count: int) -> list[bytes]:
    """Commit entries with a content each; their digests."""
    digests: list[bytes] = []
    for number in range(count):
        content = f"{ledger.journal.head.seq} {number}".encode()
        digest = ledger.digest(content)
        ledger.commit((), {digest: content})
        digests.append(digest)
    return digests


@looped
async def test_each_entry_is_looked_at_once_however_many_ask() -> None:
    stage = Stage()
    await stage.settled()
    ledger = stage.kernel.ledger
    held = ledger._held = Counted(ledger._held)
    digests = hold(ledger, 1_000)
    for digest in digests:
        assert ledger.undurable(digest) is not None
        assert ledger.undurable(b"nobody's") is None
    more = hold(ledger, 10)
    assert all(ledger.undurable(digest) is not None for digest in (*digests, *more))
    assert held.looks <= 1_010 + 2 * (1_000 + 1_010 + 1)  # each once, and the one where a look stops
    await stage.settled()
    assert all(ledger.undurable(digest) is None for digest in (*digests, *more))
    await stage.kernel.close()


@looped
async def test_who_asks_all_the_time_keeps_no_more_than_what_is_held_twice_over() -> None:
    stage = Stage()
    await stage.settled()
    ledger = stage.kernel.ledger
    ledger._held.clear()
    rng, seq, durable = Random(3), 100, 100
    named: dict[int, bytes] = {}
    for _ in range(2_000):
        for _ in range(rng.randrange(4)):
            seq += 1
            content = f"content {rng.randrange(30)}".encode()  # the same comes again
            named[seq] = content
            ledger._held.append(Durable(seq, 1, (), {content: content}))
        if rng.random() < 0.5:
            for of in range(durable + 1, seq + 1):
                assert ledger.undurable(named[of]) == named[of]
            assert ledger.undurable(b"nobody's") is None
        if seq - durable > 8 or rng.random() < 0.3:
            durable = rng.randrange(durable, seq + 1)
            ledger.on_durable(durable)
        known = ledger._undurable
        assert len(known._new) + len(known._old) <= 2 * (8 + 4)
    await stage.kernel.close()
