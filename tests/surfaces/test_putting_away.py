"""A process that waits can lose its worker and get another: it does not notice, and its record does not show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, events_of, process, with_shard

PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="proc model")
async def parent(proc):
    print("parent begins")
    said = []

    async def tick(n):
        for turn in range(3):
            await asyncio.sleep(0.001 * (n + 1))
            print(f"tick {n} {turn}")
            said.append([n, turn])

    async def watch(name):
        pid = await proc.spawn(child, name)
        print(f"spawned {name}")
        ended = await proc.wait(pid)
        print(f"{name} ended")
        said.append(ended.result)

    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(tick(n))
        for name in "abc":
            group.create_task(watch(name))
    print("parent ends")
    return sorted(map(str, said))

@agent(pledge="model")
async def child(proc, name):
    print(f"child {name} begins")
    await asyncio.sleep(0.002)
    print(f"child {name} slept")
    try:
        await proc.spawn(child, name)
    except Exception as error:
        print(type(error).__name__)
    await proc.llm(name)
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)
    except TimeoutError:
        print(f"child {name} hurried")
    return name
"""


def run(folder: Path, workers_max: int) -> tuple[dict[str, Any], list[str], list[list[str]], list[ev.Event], int]:
    folder.mkdir()
    (folder / "family.py").write_text(PROGRAM)

    async def body(shard: Shard) -> tuple[dict[str, Any], list[ev.Event], int]:
        ended = await end_of(shard, f"{folder}/family.py:parent")
        most = shard.kernel.workers.most
        assert most == workers_max
        return ended, events_of(shard), process(shard, 1).below.cpu_us

    ended, events, cpu_us = with_shard(folder / "home", body, workers_max=workers_max)
    logs = [(folder / "home" / "logs" / f"{pid}.log").read_text().splitlines() for pid in (1, 2, 3, 4)]
    kinds = [str(e.__struct_config__.tag) for e in events]
    return ended, kinds, logs, events, cpu_us


def test_a_bound_of_one_worker_changes_nothing_that_a_program_or_its_record_can_tell(tmp_path: Path) -> None:
    free, kinds, logs, _, _ = run(tmp_path / "free", 256)
    tight, tight_kinds, tight_logs, events, cpu_us = run(tmp_path / "tight", 1)
    assert free["status"] == 0, free
    assert tight["result"] == free["result"]
    assert [sorted(log) for log in tight_logs] == [sorted(log) for log in logs]
    for kind in ("call.opened/1", "call.closed/1", "call.done/1", "call.denied/1", "process.exited/1"):
        assert tight_kinds.count(kind) == kinds.count(kind), kind
    for kind in ("process.stopped/1", "incident.opened/1"):
        assert kind not in tight_kinds
    # It did happen: there were more workers than processes, and each that went was accounted for.
    workers = [e for e in events if isinstance(e, ev.ProcessAccounted)]
    assert len(workers) > 4
    assert cpu_us > 0
