"""What all simulations share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.shards import SHARDS


@pytest.fixture(autouse=True)
def closed_loops() -> Iterator[None]:
    """Close the loops of the shards that a test made."""
    yield
    for shard in SHARDS:
        shard.loop.close()
    SHARDS.clear()
