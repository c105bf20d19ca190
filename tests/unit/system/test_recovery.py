"""A home is opened after a crash: what is left of the old kernel ends before anything is read, and all come back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recovery import measure
from prytany.abi.errors import Ebusy
from prytany.runtime import landlock, pids
from prytany.runtime.roster import Roster
from prytany.system import opening as composition
from prytany.system.shard import Shard


@pytest.mark.skipif(not pids.start_time_of(os.getpid()), reason="no start times on this machine")
def test_a_leftover_is_ended_before_the_fold_and_never_by_a_kernel_that_may_not_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int | None] = []
    real: Any = composition.fold_from_snapshot  # type: ignore[attr-defined]

    def noted(reader: Any) -> Any:
        ends.append(leftover.poll())
        return real(reader)

    async def open_and_close() -> None:
        await (await Shard.open(tmp_path / "home", {})).close()

    async def open_twice() -> None:
        shard = await Shard.open(tmp_path / "home", {})
        Roster(tmp_path / "home" / "workers").end_leftovers()
        shard_roster = Roster(tmp_path / "home" / "workers")
        shard_roster.add(leftover.pid, pids.start_time_of(leftover.pid) or 0)
        with pytest.raises(Ebusy):
            await Shard.open(tmp_path / "home", {})
        assert leftover.poll() is None
        await shard.close()

    monkeypatch.setattr(composition, "fold_from_snapshot", noted)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as leftover:
        try:
            asyncio.run(open_twice())
            asyncio.run(open_and_close())
        finally:
            leftover.kill()
    assert ends == [None, -signal.SIGKILL]


@pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")
def test_a_killed_kernels_processes_come_back_or_wait_and_their_state_is_the_same(tmp_path: Path) -> None:
    figures = measure(tmp_path, processes=4, calls=3, asking=2)
    assert figures["same_digest"]
    assert figures["back"] == 2
    assert figures["on_demand_right"]
