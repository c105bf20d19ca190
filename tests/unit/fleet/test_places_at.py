"""Places at a model grow and shrink while they are taken, and nobody waits while there is one."""

from __future__ import annotations

import asyncio

import pytest

from prytany.system.fleet.places_at import PlacesAt


class Crowd:
    """Who is in and who came, in order."""

    def __init__(self, most: int | None) -> None:
        self.places = PlacesAt(most)
        self.inside: list[int] = []
        self.go: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def _one(self, n: int) -> None:
        await self.places.take()
        self.inside.append(n)
        await self.go[n].wait()
        self.inside.remove(n)
        self.places.give_back()

    async def come(self, *numbers: int) -> None:
        for n in numbers:
            self.go[n] = asyncio.Event()
            self.tasks[n] = asyncio.ensure_future(self._one(n))
        await settle()

    async def leave(self, n: int) -> None:
        self.go[n].set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)  # noqa: TID251 - turns of the loop, no time


def test_who_waits_comes_in_order_and_at_once_where_there_is_more_room() -> None:
    async def test() -> None:
        crowd = Crowd(2)
        await crowd.come(1, 2, 3, 4, 5)
        assert crowd.inside == [1, 2]
        crowd.places.change(4)
        await settle()
        assert crowd.inside == [1, 2, 3, 4]
        crowd.places.change(None)
        await settle()
        assert crowd.inside == [1, 2, 3, 4, 5]

    asyncio.run(test())


def test_who_is_there_stays_where_there_is_less_room_and_nobody_comes_until_it_is_free() -> None:
    async def test() -> None:
        crowd = Crowd(3)
        await crowd.come(1, 2, 3, 4)
        crowd.places.change(1)
        await crowd.leave(1)
        await crowd.leave(2)
        assert crowd.inside == [3]
        await crowd.leave(3)
        assert crowd.inside == [4]

    asyncio.run(test())


@pytest.mark.parametrize("let_in", [False, True])
def test_who_goes_away_while_it_waits_or_as_it_is_let_in_takes_no_place(let_in: bool) -> None:
    async def test() -> None:
        places = PlacesAt(1)
        await places.take()
        second, third = (asyncio.ensure_future(places.take()) for _ in "ab")
        await settle()
        if let_in:
            places.give_back()  # now the second has its turn, and has not run yet
        second.cancel()
        await settle()
        if not let_in:
            assert not third.done()
            places.give_back()
        await third
        assert second.cancelled()
        fourth = asyncio.ensure_future(places.take())
        await settle()
        assert not fourth.done()
        places.give_back()
        await fourth

    asyncio.run(test())
