"""Contexts in a kernel that lives: who waits may be packed and goes on as if not; who ends leaves nothing in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prytany.kernel.forgetting import forget
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process
from tests.simulation.conversations import TalkingModel
from tests.simulation.looped import looped

HERE = f"{__file__}:talks_and_waits"


@agent(pledge="model ipc")
async def talks_and_waits(proc: Process) -> list[Any]:
    talk = proc.conversation("be brief")
    said = [await talk.llm("one"), await talk.llm("two")]
    await proc.receive()
    return [*said, await talk.llm("three"), await talk.llm("four")]


def runners(logs: Logs) -> dict[str, Runner]:
    return {"inline": InlineRunner({HERE: talks_and_waits})}


async def waiting(shard: Shard) -> int:
    pid = shard.kernel.operator.spawn(HERE, [], {}, uid=0, kind="inline")
    journal = shard.kernel.ledger.journal
    while shard.kernel.table.require(pid).shown_state()[1] != "message":
        await shard.kernel.ledger.wait_entry(journal.durable)
    return pid


async def squeezed(shard: Shard) -> None:
    held = shard.kernel.effects.contexts
    held.squeeze()
    assert held._sweeping is not None
    await held._sweeping


@looped
async def test_who_waits_is_packed_goes_on_the_same_and_leaves_nothing_behind(tmp_path: Path) -> None:
    model: Any = TalkingModel()
    shard = await Shard.open(tmp_path / "home", {"": model}, runners=runners)
    held = shard.kernel.effects.contexts
    pid = await waiting(shard)
    await squeezed(shard)
    assert held.tiers.packed == len(held.tiers) == 1
    read = held._chains[0].entries_read
    shard.kernel.operator.send(pid, "go", None, uid=0)
    ended = await shard.kernel.operator.wait_ended(pid)
    assert [said.partition(" ")[0] for said in ended["result"]] == ["2", "4", "6", "8"]
    assert held.tiers.counts.unpacked == 1
    assert held._chains[0].entries_read - read <= 4, "a call reads what was added, and no more"
    assert (len(held.tiers), held.tiers.size, held._chains[0]._places) == (0, 0, {})
    await shard.close()


@looped
async def test_what_is_forgotten_is_in_no_tier(tmp_path: Path) -> None:
    model: Any = TalkingModel()
    shard = await Shard.open(tmp_path / "home", {"": model}, runners=runners)
    held, kernel = shard.kernel.effects.contexts, shard.kernel
    pid = await waiting(shard)
    head = kernel.contexts.owned[pid].heads[1]
    await squeezed(shard)
    kernel.operator.signal(pid, 9, uid=0)
    await kernel.operator.wait_ended(pid)
    await held.read(0, pid, head.seq, head.at)  # as if one were still on its way
    assert len(held.tiers) == 1
    await forget(kernel.ledger, kernel.reader, pid, 0)
    assert (len(held.tiers), held._chains[0]._held, held._chains[0]._places, held._chains[0]._tips) == (0, {}, {}, {})
    await shard.close()
