"""What an operator asks for that does not exist is refused, and nothing of it is recorded."""

from __future__ import annotations

import asyncio

import pytest

from prytany.abi.errors import Einval
from tests.unit.kernel.puppets import Stage


def test_a_pledge_that_does_not_exist_is_refused() -> None:
    async def run() -> None:
        stage = Stage()
        with pytest.raises(Einval, match="no pledge 'network'"):
            stage.kernel.operator.spawn("program", [], {}, uid=0, kind="inline", pledge=["ipc", "network"])
        assert not stage.kernel.table.processes
        await stage.kernel.close()

    asyncio.run(run())
