"""A fleet that is up comes back without a key that is gone: who asks its model waits for a person, and no fleet is
kept from its home by another one. Agents run in the test's own process, against an endpoint on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import control
from prytany.abi.errors import Eacces, Enoent
from prytany.drivers.models.scripted import ScriptedModel
from prytany.kernel.views import incident_rows
from prytany.runtime.inline import InlineRunner
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import ModelEndpoint
from prytany.userland.process import Process
from tests.surfaces.shards import DEADLINE_S, turns_until
from tests.surfaces.test_reloading import FLEET as SHOP
from tests.surfaces.test_reloading import Shop, with_shop

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


TOLD = """
notify: [{command: [sh, -c, 'cat > told'], env: {HOOK: {secret: HOOK}}}]
"""


def all_that_lacks(folder: Path) -> None:
    """A fleet whose model, tools and notices each want a secret of their own."""
    text = SHOP.replace("{file: key}}", "{file: key}, PROVIDER: {file: provider}, HOOK: {file: hook}}")
    text = text.replace(
        "{driver: scripted,", '{driver: openai, base_url: "http://127.0.0.1:9", model: m, key: {secret: PROVIDER},'
    )
    (folder / "fleet.yaml").write_text(text + TOLD)


def give(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("secret-b\n")
        (folder / name).chmod(0o600)


async def status(shop: Shop) -> control.Status:
    return msgspec.msgpack.decode(await shop.shard.desk.answer(control.GetStatus(), 0), type=control.Status)


async def come_back(shop: Shop) -> control.Plan:
    fleet = resolve(load_fleet(shop.folder / "fleet.yaml").fleet, shop.folder, {})
    assert shop.shard.desk.fleets is not None
    return await shop.shard.desk.fleets.come_back(control.BringFleet(msgspec.msgpack.encode(fleet)), 0)


def test_a_fleet_comes_back_without_any_of_its_secrets_says_which_and_has_them_when_it_is_brought_again(
    tmp_path: Path,
) -> None:
    async def first(shop: Shop) -> None:
        with pytest.raises(Enoent):
            await come_back(shop)  # what was never up is not brought by half
        give(tmp_path, "provider", "hook")
        await shop.up()
        assert (await status(shop)).lacking == []

    async def then(shop: Shop) -> None:
        said = (await status(shop)).lacking
        words = (
            "tools in",
            "that need SHOP_KEY cannot be called",
            "the model default of the fleet shop",
            "by command sh",
        )
        assert len(said) == 3
        assert all(any(word in line for line in said) for word in words), said
        assert set(said) < set(shop.shard.notes)
        pid = shop.start("one")
        shop.go_on(pid)
        assert await shop.result(pid) == ["ETOOL"]
        assert not (tmp_path / "one").exists()
        head = shop.shard.kernel.ledger.journal.head
        assert (await come_back(shop)).changes == []
        assert shop.shard.kernel.ledger.journal.head == head
        (tmp_path / "key").rmdir()
        give(tmp_path, "key", "provider")
        with pytest.raises(Enoent, match="hook"):
            await shop.up()
        again = (await come_back(shop)).changes
        assert {change.name for change in again} == {"SHOP_KEY", "PROVIDER", "shop"}
        assert [line for line in (await status(shop)).lacking if "command sh" not in line] == []
        give(tmp_path, "hook")
        (tmp_path / "hook").chmod(0o644)
        with pytest.raises(Eacces):
            await shop.up()
        (tmp_path / "hook").chmod(0o600)
        assert await shop.up() == ["~ secret HOOK: value"]
        assert (await status(shop)).lacking == []
        pid = shop.start("two")
        await shop.begun("two")
        shop.let("two")
        shop.go_on(pid)
        assert await shop.result(pid) == ["1 b"]

    all_that_lacks(tmp_path)
    with_shop(tmp_path, first)
    for name in ("key", "provider", "hook"):
        (tmp_path / name).unlink()
    (tmp_path / "key").mkdir()  # not even a file
    with_shop(tmp_path, then)
