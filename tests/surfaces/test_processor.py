"""Real workers: those that spin are bounded by what they may take, and a changed class reaches the operating system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from prytany.abi.budgets import Bounds, Budget
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.process.process import State
from prytany.runtime import priority
from prytany.system.shard import Shard
from tests.surfaces.shards import turns_until, with_shard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="weights and clocks of other processes are Linux's")
PROGRAM = """
from prytany import agent

@agent()
async def spins(proc):
    while True:
        pass

@agent(pledge="ipc")
async def schedules(proc):
    await proc.calls.agent_schedule(qos="background")
    await proc.sleep(3600)
"""


def test_who_spins_is_stopped_by_its_budget_and_what_it_took_is_in_the_journal(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    async def body(shard: Shard) -> None:
        kernel = shard.kernel
        budget = Budget(Bounds(processor_ms=100))
        pid = kernel.operator.spawn(f"{program}:spins", [], {}, uid=0, budget=budget)
        process = kernel.table.require(pid)
        await turns_until(lambda: process.state is State.STOPPED and not kernel.workers.leaving)
        assert process.reason == f"budget: run:{pid} has used its 0.1 s of processor"
        account = kernel.ledger.state.budgets.accounts[f"run:{pid}"]
        assert process.usage.cpu_us == account.processor_us > 100_000
        kernel.operator.signal(pid, Signal.KILL, uid=0)
        await kernel.operator.wait_ended(pid)

    with_shard(tmp_path / "home", body)


def test_an_agent_that_makes_itself_less_urgent_weighs_less(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    async def body(shard: Shard) -> None:
        kernel = shard.kernel
        pid = kernel.operator.spawn(f"{program}:schedules", [], {}, uid=0, qos=Qos.UTILITY)

        def nice() -> int:
            live = kernel.workers.live.get(pid)
            os_pid = live.worker.identity[0] if live is not None and live.worker is not None else 0
            return os.getpriority(os.PRIO_PROCESS, os_pid) if os_pid else -1

        await turns_until(lambda: nice() == priority.nice_of(Qos.BACKGROUND))
        assert kernel.table.require(pid).qos == Qos.BACKGROUND
        kernel.operator.signal(pid, Signal.KILL, uid=0)
        await kernel.operator.wait_ended(pid)

    with_shard(tmp_path / "home", body)
