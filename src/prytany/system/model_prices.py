"""Looking up what models cost before they are asked: the list of prices takes tenths of a second to load, and a kernel
that serves has not got them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prytany.ports.model import Model


async def look_up_prices(models: Iterable[Model]) -> None:
    """Have these models know all that they can say of themselves, which drivers look up once; off the loop."""
    await asyncio.to_thread(_look_up, list(models))


def _look_up(models: list[Model]) -> None:
    for model in models:
        model.features  # noqa: B018 it is the looking that counts
