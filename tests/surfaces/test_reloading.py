"""A fleet is brought again while its agents work: what changed behind the file is taken, and what is under way is not
disturbed. Real tool processes; the agents run in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import control, limits
from prytany.abi.errors import Eagain, Einval, Enoent, KernelError
from prytany.drivers.models.scripted import ScriptedModel
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.letters import trial
from prytany.runtime.inline import InlineRunner
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.fleet.switched import SwitchedModel
from prytany.system.shard import Shard
from prytany.userland.process import Process
from tests.surfaces.shards import DEADLINE_S, events_of, turns_until

FLEET = """
version: 1
name: shop
models: {default: {driver: scripted, limits: {concurrency: 1}}}
secrets: {SHOP_KEY: {file: key}}
tools: {shop: {python: shop.py}}
agents:
  clerk: {kind: inline, program: "agents.py:clerk", pledge: [tools, ipc], tools: [shop]}
"""
TOOLS = '''
import time
from pathlib import Path
from prytany import tool
import rates

@tool(effect="unsafe", secrets=("SHOP_KEY",))
def look(place: str) -> str:
    """Look."""
    Path(place).write_text("begun")
    while Path(place).exists():
        time.sleep(0.01)
    import os
    return f"{rates.RATE} {os.environ['SHOP_KEY'][-1]}"
'''


async def clerk(proc: Process, *places: str) -> list[Any]:
    """Look once for each place, the next one when a message comes."""
    said: list[Any] = []
    for place in places:
        try:
            said.append(await proc.calls.tool_call("shop.look", {"place": place}))
        except KernelError as error:
            said.append(error.errno)
        await proc.receive()
    return said


class Shop:
    """A folder with a fleet, and a kernel that it is brought to."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.folder = folder
        self.shard = shard

    async def up(self, *, dry_run: bool = False, environment: dict[str, str] | None = None) -> list[str]:
        """Bring what lies there; the plan."""
        fleet = resolve(load_fleet(self.folder / "fleet.yaml").fleet, self.folder, {})
        command = control.BringFleet(msgspec.msgpack.encode(fleet), dry_run, environment or {})
        plan = msgspec.msgpack.decode(await self.shard.desk.answer(command, 0), type=control.Plan)
        return [f"{c.sign} {c.kind} {c.name}: {', '.join(c.what)}" for c in plan.changes]

    def change(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        path.write_text(path.read_text().replace(old, new))

    def start(self, *places: str) -> int:
        command = [str(self.folder / place) for place in places]
        return self.shard.kernel.fleet_operator.start(1, "clerk", list(command), {}, uid=0)

    async def begun(self, place: str) -> None:
        await turns_until((self.folder / place).exists)

    def let(self, place: str) -> None:
        (self.folder / place).unlink()

    def go_on(self, pid: int) -> None:
        self.shard.kernel.operator.send(pid, "go", None, uid=0)

    async def result(self, pid: int) -> Any:
        return (await self.shard.kernel.operator.wait_ended(pid))["result"]

    @property
    def tools(self) -> list[PythonTools]:
        """All that are open."""
        return [tools for tools in self.shard.drivers.tools.values() if isinstance(tools, PythonTools)]


def with_shop(folder: Path, body: Callable[[Shop], Awaitable[Any]]) -> Any:
    (folder / "agents.py").write_text("async def clerk(proc): ...\n")
    for name, text in (("fleet.yaml", FLEET), ("shop.py", TOOLS), ("rates.py", "RATE = 1\n"), ("key", "secret-a\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text)
    (folder / "key").chmod(0o600)

    async def run() -> Any:
        target = f"{folder / 'agents.py'}:clerk"
        shard = await Shard.open(
            folder / "home", {"": ScriptedModel()},
            runners=lambda logs: {"inline": InlineRunner({target: clerk}, logs.append)},
        )  # fmt: skip
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await body(Shop(folder, shard))
        finally:
            await shard.close()

    return asyncio.run(run())


def test_a_call_ends_where_it_began_and_the_next_one_finds_what_is_there_now(tmp_path: Path) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        assert await shop.up() == []
        pid = shop.start("one", "two")
        await shop.begun("one")
        (before,) = shop.tools
        shop.change("rates.py", "1", "2")
        (shop.folder / "key").write_text("secret-b\n")
        said = await shop.up(dry_run=True)
        assert said == ["~ secret SHOP_KEY: value", "~ tools shop: what it imports, secret SHOP_KEY"]
        assert shop.tools == [before]
        assert await shop.up() == said
        assert await shop.up() == []
        shop.let("one")
        shop.go_on(pid)
        await shop.begun("two")
        shop.let("two")
        shop.go_on(pid)
        assert await shop.result(pid) == ["1 a", "2 b"]
        await turns_until(lambda: all(process.dead for process in before._processes.values()))
        assert "secret-" not in repr(events_of(shop.shard))

    with_shop(tmp_path, body)


def test_who_runs_goes_on_with_tools_as_they_were_granted_and_who_is_new_has_the_new_ones(tmp_path: Path) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        pid = shop.start("one", "two")
        await shop.begun("one")
        shop.change("shop.py", '"""Look."""', '"""Look well."""')
        shop.change("shop.py", 'f"{rates', 'f"new {rates')
        assert await shop.up() == [
            f"~ tools shop: text, what shop.look says of itself, runs that go on with it as it was: {pid}"
        ]
        new = shop.start("three")
        await shop.begun("three")
        shop.let("one")
        shop.go_on(pid)
        await shop.begun("two")
        for place in ("two", "three"):
            shop.let(place)
        for one in (pid, new):
            shop.go_on(one)
        assert await shop.result(pid) == ["1 a", "1 a"]
        assert await shop.result(new) == ["new 1 a"]
        await turns_until(lambda: len(shop.tools) == 1)

    with_shop(tmp_path, body)


def test_a_kernel_that_comes_back_goes_on_with_the_text_that_was_granted(tmp_path: Path) -> None:
    async def first(shop: Shop) -> None:
        await shop.up()
        shop.start("one", "two")
        await shop.begun("one")
        shop.let("one")
        await turns_until(lambda: shop.shard.kernel.table.require(1).waiting)
        shop.change("shop.py", '"""Look."""', '"""Look well."""')
        shop.change("shop.py", 'f"{rates', 'f"new {rates')
        await shop.up()

    async def then(shop: Shop) -> None:
        shop.go_on(1)
        await shop.begun("two")
        shop.let("two")
        shop.go_on(1)
        assert await shop.result(1) == ["1 a", "1 a"]

    with_shop(tmp_path, first)
    with_shop(tmp_path, then)


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("shop.py", "def (", Einval),
        ("shop.py", "raise SystemExit", Einval),
        ("shop.py", "# no tool", Einval),
        ("shop.py", TOOLS.replace("def look", "def other").replace("SHOP_KEY", "NOBODY_HAS_IT"), Enoent),
        ("key", "", Einval),
        ("key", None, Enoent),
        ("fleet.yaml", FLEET.replace("[shop]", "[shop.nothing]"), Enoent),
        ("fleet.yaml", FLEET.replace("concurrency: 1", "concurrency: 0"), Einval),
        ("fleet.yaml", FLEET.replace("concurrency: 1", "concurrency: 100000000000000000000"), Einval),
    ],
)
def test_what_cannot_be_brought_changes_nothing(
    tmp_path: Path, file: str, text: str | None, error: type[KernelError]
) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        held = (shop.folder / file).read_text()
        tools, models, head = shop.tools, dict(shop.shard.drivers.models), shop.shard.kernel.ledger.journal.head
        if text is None:
            (shop.folder / file).unlink()
        else:
            (shop.folder / file).write_text(text)
        for dry_run in (True, False):
            with pytest.raises(error):
                await shop.up(dry_run=dry_run)
        assert (shop.tools, shop.shard.drivers.models) == (tools, models)
        assert shop.shard.kernel.ledger.journal.head == head
        (shop.folder / file).write_text(held)
        (shop.folder / "key").chmod(0o600)
        assert await shop.up() == []

    with_shop(tmp_path, body)


def test_a_file_of_tools_that_is_not_done_importing_in_time_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        before = shop.tools
        (shop.folder / "shop.py").write_text("while True: pass")
        monkeypatch.setattr(limits, "WORKER_START_MS", 500)
        with pytest.raises(Einval, match="did not start in time"):
            await shop.up()
        assert shop.tools == before

    with_shop(tmp_path, body)


def test_several_at_once_are_one_after_the_other_and_a_variable_of_who_commands_it_is_taken(tmp_path: Path) -> None:
    async def body(shop: Shop) -> None:
        shop_ = FLEET.replace("{file: key}", "{env: THE_SHOPS_KEY}")
        (shop.folder / "fleet.yaml").write_text(shop_)
        with pytest.raises(Enoent):
            await shop.up()
        both = await asyncio.gather(*(shop.up(environment={"THE_SHOPS_KEY": "of-mine"}) for _ in range(2)))
        assert sorted(map(len, both)) == [0, 4]
        assert await shop.up(environment={"THE_SHOPS_KEY": "another"}) == [
            "~ secret SHOP_KEY: value", "~ tools shop: secret SHOP_KEY",
        ]  # fmt: skip
        assert await shop.up() == []  # who commands it without the variable has it as it was

    with_shop(tmp_path, body)


def test_two_fleets_of_one_kernel_are_apart_and_what_is_gone_is_closed(tmp_path: Path) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        other = Shop(tmp_path / "other", shop.shard)
        other.folder.mkdir()
        (other.folder / "fleet.yaml").write_text(
            "version: 1\nname: other\nmodels: {default: {driver: scripted}, more: {driver: scripted}}\n"
            "agents: {a: {instruction: x}}\n"
        )
        assert [line[:9] for line in await other.up()] == ["+ agent a", "+ model d", "+ model m"]
        assert (await shop.up(), await other.up()) == ([], [])
        models = shop.shard.drivers.models
        assert [name for name, model in models.items() if isinstance(model, SwitchedModel)] == [
            "1/default", "2/default", "2/more",
        ]  # fmt: skip
        other.change("fleet.yaml", ", more: {driver: scripted}", "")
        assert await other.up() == ["- model more: "]
        assert "2/more" not in models
        # Of the same name, from elsewhere: it is said where from.
        other.change("fleet.yaml", "name: other", "name: shop")
        first, *_ = await other.up()
        assert first == f"~ fleet shop: entry: clerk → a, folder: {tmp_path} → {other.folder}"

    with_shop(tmp_path, body)


def test_a_fleet_that_is_down_and_of_which_nothing_lives_keeps_no_home_from_being_opened(tmp_path: Path) -> None:
    async def first(shop: Shop) -> None:
        await shop.up()
        assert await shop.result(shop.start()) == []
        await shop.shard.desk.answer(control.WithdrawFleet("shop"), 0)

    async def then(shop: Shop) -> None:
        assert [fleet.stays for fleet in shop.shard.kernel.fleets.fleets.values()] == [False]
        assert (shop.tools, list(shop.shard.drivers.models)) == ([], [""])

    with_shop(tmp_path, first)
    (tmp_path / "shop.py").write_text("raise SystemExit")
    with_shop(tmp_path, then)


def test_another_secret_of_a_channel_is_taken_and_said(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(
        FLEET.replace("{SHOP_KEY: {file: key}}", "{SHOP_KEY: {file: key}, HOOK: {env: SHOP_HOOK}}")
        + "notify: [{command: [sh, -c, 'echo $${#HOOK}'], env: {HOOK: {secret: HOOK}}}]\n"
    )

    async def body(shop: Shop) -> None:
        async def said() -> bytes:
            return await shop.shard.drivers.couriers["1/0"].deliver(trial("it", "shop", "1", 0))

        await shop.up(environment={"SHOP_HOOK": "the first of them"})
        assert await said() == b"17\n"
        assert await shop.up(environment={"SHOP_HOOK": "the first of them"}) == []
        assert await shop.up(environment={"SHOP_HOOK": "another one"}) == ["~ secret HOOK: value"]
        assert await said() == b"11\n"
        assert await shop.up(environment={"SHOP_HOOK": "another one"}) == []
        assert shop.shard.drivers.told_with == {1: {"HOOK": "another one"}}

    with_shop(tmp_path, body)


def test_a_fleet_that_is_being_brought_when_its_kernel_is_told_to_stop_is_not(tmp_path: Path) -> None:
    async def body(shop: Shop) -> None:
        await shop.up()
        shop.change("shop.py", '"""Look."""', '"""Look well."""')
        bringing = asyncio.ensure_future(shop.up())
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        shop.shard.drain()
        with pytest.raises(Eagain):
            await bringing
        assert [tools.manifests["shop.look"].description for tools in shop.tools] == ["Look."]

    with_shop(tmp_path, body)


TWO = """
version: 1
name: NAME
models: {default: {driver: openai, base_url: "URL", model: big, key: {secret: provider}}}
secrets: {provider: {env: TWO_MEAN_IT}}
agents: {clerk: {kind: inline, program: "agents.py:clerk", pledge: [model]}}
"""


def test_fleets_that_mean_different_things_by_one_variable_have_each_their_own_and_a_kernel_that_comes_back_mixes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWO_MEAN_IT", raising=False)
    at = {"far": tmp_path / "far", "near": tmp_path / "near"}
    for name, folder in at.items():
        folder.mkdir()
        text = TWO.replace("NAME", name).replace("URL", f"http://127.0.0.1:9/{name}")
        (folder / "fleet.yaml").write_text(text)
        (folder / "agents.py").write_text("async def clerk(proc): ...\n")

    def keys(shop: Shop) -> dict[str, object]:
        models = shop.shard.drivers.models
        return {name: m.opened.by[1] for name, m in models.items() if isinstance(m, SwitchedModel)}

    async def first(shop: Shop) -> None:
        far, near = Shop(at["far"], shop.shard), Shop(at["near"], shop.shard)
        await far.up(environment={"TWO_MEAN_IT": "of-far"})
        with pytest.raises(Enoent):
            await near.up()  # what the other one was brought with is not its own
        await near.up(environment={"TWO_MEAN_IT": "of-near"})
        for _ in range(2):
            assert keys(shop) == {"1/default": "of-far", "2/default": "of-near"}
            assert (await far.up(), await near.up()) == ([], [])
        assert "of-far" not in repr(events_of(shop.shard))

    async def then(shop: Shop) -> None:
        near = Shop(at["near"], shop.shard)
        assert keys(shop) == {"1/default": "of-far", "2/default": None}
        with pytest.raises(Enoent):
            await near.up()
        assert await near.up(environment={"TWO_MEAN_IT": "of-near"}) == ["~ secret provider: value"]
        assert keys(shop) == {"1/default": "of-far", "2/default": "of-near"}

    async def alike(shop: Shop) -> None:
        assert keys(shop) == {"1/default": None, "2/default": None}  # whose it is nobody knows
        for place in at.values():
            await Shop(place, shop.shard).up(environment={"TWO_MEAN_IT": "anew"})

    async def last(shop: Shop) -> None:
        assert keys(shop) == {"1/default": "later", "2/default": "later"}  # both mean the same by it

    with_shop(tmp_path, first)
    monkeypatch.setenv("TWO_MEAN_IT", "of-far")
    with_shop(tmp_path, then)
    monkeypatch.setenv("TWO_MEAN_IT", "anew")
    with_shop(tmp_path, alike)
    monkeypatch.setenv("TWO_MEAN_IT", "later")
    with_shop(tmp_path, last)
