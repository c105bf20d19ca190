"""A fleet that is up comes back without a key that is gone: who asks its model waits for a person, and no fleet is
kept from its home by another one. Agents run in the test's own process, against an endpoint on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import control
from prytany.abi.errors import Enoent
from prytany.drivers.models.scripted import ScriptedModel
from prytany.kernel.views import incident_rows
from prytany.runtime.inline import InlineRunner
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import ModelEndpoint
from prytany.userland.process import Process
from tests.surfaces.shards import DEADLINE_S, turns_until

FLEET = """
version: 1
name: shop
models:
  default: {driver: openai, base_url: "URL", model: big, key: {secret: provider}}
secrets: {provider: {file: key}}
agents: {clerk: {kind: inline, program: "agents.py:clerk", pledge: [model]}}
"""


async def clerk(proc: Process) -> str:
    return await proc.llm("Hello?")


async def opened(folder: Path) -> Shard:
    runner = {f"{folder / 'agents.py'}:clerk": clerk}
    return await Shard.open(
        folder / "home", {"": ScriptedModel()}, runners=lambda logs: {"inline": InlineRunner(runner, logs.append)}
    )


async def bring(shard: Shard, folder: Path) -> None:
    fleet = resolve(load_fleet(folder / "fleet.yaml").fleet, folder, {})
    await shard.desk.answer(control.BringFleet(msgspec.msgpack.encode(fleet)), 0)


def test_a_key_that_is_gone_is_asked_for_when_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text("async def clerk(proc): ...\n")
    key = tmp_path / "key"

    async def body() -> Any:
        async with ModelEndpoint() as endpoint, asyncio.timeout(DEADLINE_S):
            (tmp_path / "fleet.yaml").write_text(FLEET.replace("URL", endpoint.base_url))
            key.write_text("secret-a\n")
            key.chmod(0o600)
            shard = await opened(tmp_path)
            await bring(shard, tmp_path)
            await shard.close()
            key.unlink()

            shard = await opened(tmp_path)
            try:
                assert [note for note in shard.notes if "the model default of the fleet shop cannot be asked" in note]
                with pytest.raises(Enoent):
                    await bring(shard, tmp_path)
                pid = shard.kernel.fleet_operator.start(1, "clerk", [], {}, uid=0)
                incidents = shard.kernel.table.incidents
                await turns_until(lambda: bool(incidents))
                assert [row.kind for row in incident_rows(shard.kernel.table)] == ["bad_key"]
                assert not endpoint.bodies

                key.write_text("secret-b\n")
                key.chmod(0o600)
                await bring(shard, tmp_path)
                shard.kernel.operator.settle(pid, 1, "retry", None, uid=0)
                ended = await shard.kernel.operator.wait_ended(pid)
                assert ended["status"] == 0
                assert endpoint.tokens == {"secret-b"}
            finally:
                await shard.close()

    asyncio.run(body())
