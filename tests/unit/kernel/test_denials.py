"""G11: what a process has not pledged is denied and recorded, for each call of the table and each class of pledge."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi.syscalls import PLEDGES, TABLE
from tests.unit.kernel.puppets import Puppet, Stage

PLEDGED = [call for call in TABLE.values() if call.pledge]
HOSTILE: list[tuple[Any, ...]] = [(), (1,), ("x" * 1_000, {}, [[]]), (None,) * 20]
"""Arguments that fit nothing: a call is refused before anybody looks at them."""


async def puppet_with(stage: Stage, pledge: list[str]) -> Puppet:
    pid = stage.kernel.operator.spawn("program", [], {}, uid=0, kind="inline", pledge=pledge)
    await stage.settled()
    return stage.puppets[pid]


def new_events(stage: Stage, after: int) -> list[ev.Event]:
    return [e for row in stage.kernel.reader.rows(after + 1) for e in ev.decode_entry(row.record).events]


@pytest.mark.parametrize("pledge", [[], *([name] for name in PLEDGES)], ids=str)
def test_every_call_outside_the_pledge_is_denied_and_recorded_and_does_nothing(pledge: list[str]) -> None:
    async def run() -> None:
        stage = Stage()
        puppet = await puppet_with(stage, pledge)
        outside = [call for call in PLEDGED if call.pledge not in pledge]
        for call in outside:
            before = stage.kernel.ledger.journal.head.seq
            for arguments in HOSTILE:
                errno, value = await stage.ask(puppet, call.name, *arguments)
                assert errno == "EPERM", call.name
                assert call.name in value[0]
            # Repeats are counted, and recorded with whatever comes next: those of the call before stand here too.
            *_, denied = events = new_events(stage, before)
            assert all(isinstance(e, ev.CallsDenied) for e in events), "nothing but denials"
            assert isinstance(denied, ev.CallsDenied)
            assert (denied.pid, denied.call, denied.errno, len(denied.ns)) == (puppet.pid, call.name, "EPERM", 1)
            assert stage.kernel.table.require(puppet.pid).denied[f"{call.name} EPERM"] >= 1
        await stage.ask(puppet, "nop", b"")
        process = stage.kernel.table.require(puppet.pid)
        assert process.usage.denials == len(outside) * len(HOSTILE)
        assert not process.open
        await stage.kernel.close()

    asyncio.run(run())


@pytest.mark.parametrize("call", [call for call in TABLE.values() if not call.pledge], ids=lambda call: call.name)
def test_a_call_that_everybody_may_make_is_not_denied(call: Any) -> None:
    async def run() -> None:
        stage = Stage()
        puppet = await puppet_with(stage, [])
        puppet.call(call.name)
        await stage.settled()
        assert not [e for e in new_events(stage, 0) if isinstance(e, ev.CallsDenied)]
        await stage.kernel.close()

    asyncio.run(run())


def test_a_call_that_is_not_in_the_table_is_denied_under_one_name() -> None:
    async def run() -> None:
        stage = Stage()
        puppet = await puppet_with(stage, list(PLEDGES))
        for name in ("no_such_call", "", "x" * 10_000, "tool.run", "__class__"):
            assert (await stage.ask(puppet, name))[0] == "EPERM"
        await stage.ask(puppet, "nop", b"")
        denied = [e for e in new_events(stage, 0) if isinstance(e, ev.CallsDenied)]
        assert {e.call for e in denied} == {"?"}
        assert sum(len(e.ns) for e in denied) == 5
        await stage.kernel.close()

    asyncio.run(run())
