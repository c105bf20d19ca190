"""What a program says of a child's class, weight and budget where it starts it is what the child has."""

from __future__ import annotations

import asyncio
from typing import Any

from prytany.abi import events as ev
from prytany.abi.budgets import NONE, Bounds
from prytany.abi.errors import KernelError
from prytany.userland.process import Process
from tests.simulation.fleet import Fleet


async def child(proc: Process, *args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


def lived(root: Any) -> tuple[Any, Fleet]:
    fleet = Fleet(root.__name__, {program.__name__: program for program in (root, child)})
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"], fleet


async def spawns(proc: Process) -> list[Any]:
    pid = await proc.spawn("child", 1, qos="background", weight=1, budget={"tokens": 70, "per_minute": {"calls": 2}})
    result = (await proc.wait(pid)).result
    ran = await proc.run("child", 2, qos="background", budget={"calls": 5}, other=3)
    plain = await proc.run("child", qos="", weight=0, budget=None)
    return [pid, result, ran, plain]


def test_spawn_and_run_say_class_weight_and_budget_of_a_child() -> None:
    (pid, result, ran, plain), fleet = lived(spawns)
    assert (result, ran, plain) == ([[1], {}], [[2], {"other": 3}], [[], {}])
    events = [event for entry in fleet.entries() for event in entry.events]
    spawned = {event.pid: event for event in events if isinstance(event, ev.ProcessSpawned)}
    assert spawned[pid].qos > spawned[1].qos
    granted = {event.account: event for event in events if isinstance(event, ev.BudgetGranted)}
    assert granted[f"tree:{pid}"].total == Bounds(tokens=70)
    assert granted[f"tree:{pid}"].minute == Bounds(calls=2)
    assert granted[f"tree:{pid + 1}"].total == Bounds(calls=5)
    assert f"tree:{pid + 2}" not in granted
    assert granted[f"tree:{pid}"].total.wall_ms == NONE


async def says_wrong(proc: Process) -> list[str]:
    said: list[str] = []
    wrong: list[dict[str, Any]] = [
        {"qos": "interactive"}, {"qos": "urgent"}, {"weight": 9}, {"weight": -1}, {"budget": {"tokens": -5}},
        {"budget": {"token": 5}}, {"budget": {"tokens": "many"}}, {"budget": {"per_minute": 3}},
    ]  # fmt: skip
    for named in wrong:
        try:
            await proc.spawn("child", **named)
            said.append("")
        except KernelError as error:
            said.append(error.errno)
    return said


def test_what_a_child_may_not_have_is_refused_where_it_is_said() -> None:
    said, fleet = lived(says_wrong)
    assert said == ["EPERM", "EINVAL", "EPERM", "EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL"]
    assert len(fleet.table().processes) == 1
