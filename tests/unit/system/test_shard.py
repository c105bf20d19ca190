"""A shard gives back all that it opened: at its close, and where its opening does not come to its end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from prytany.system.logs import Logs
from prytany.system.shard import Shard


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors cannot be listed on this machine")
def test_a_shard_that_was_closed_holds_no_descriptor(tmp_path: Path) -> None:
    async def run() -> list[int]:
        counts: list[int] = []
        for _ in range(3):
            shard = await Shard.open(tmp_path / "home", {}, runners=lambda logs: {})
            await shard.close()
            counts.append(_descriptors())
        return counts

    first, *later = asyncio.run(run())
    assert later == [first, first]


def test_an_opening_that_failed_lets_go_of_the_home(tmp_path: Path) -> None:
    def fails(logs: Logs) -> dict[str, Any]:
        raise OSError(28, "no space")

    async def run() -> None:
        with pytest.raises(OSError, match="no space"):
            await Shard.open(tmp_path / "home", {}, runners=fails)
        shard = await Shard.open(tmp_path / "home", {}, runners=lambda logs: {})
        await shard.close()

    asyncio.run(run())
