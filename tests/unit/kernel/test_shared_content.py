"""Content that many entries name is there for each of them: what was handed over, and what is forgotten around it."""

from __future__ import annotations

import pytest

from prytany.abi import events as ev
from prytany.abi.signals import Signal
from prytany.kernel.forgetting import forget
from prytany.kernel.ledger import TENANT
from tests.unit.kernel.puppets import Stage
from tests.unit.kernel.test_messages import staged


@staged
async def test_what_came_with_an_entry_that_could_not_be_written_comes_with_the_next(stage: Stage) -> None:
    operator = stage.kernel.operator
    with pytest.raises(UnicodeEncodeError):
        operator.spawn("program", [], {}, uid=0, kind="inline", unveil={"/srv/\udcff": "r"})
    puppet = await stage.root()
    assert stage.kernel.table.require(puppet.pid).alive
    assert stage.store.reader().body(TENANT, stage.kernel.digest(stage.text)) is not None


@staged
async def test_a_programs_text_is_not_forgotten_with_a_process_that_said_the_same(stage: Stage) -> None:
    says, other = await stage.root(), await stage.root()
    says.call("process_exec", stage.text)
    await stage.settled()
    for puppet in (says, other):
        stage.kernel.operator.signal(puppet.pid, Signal.KILL, uid=0)
    await stage.settled()
    gone = await forget(stage.kernel.ledger, stage.kernel.reader, says.pid, 0)
    assert gone.kept == 1
    assert stage.store.reader().body(TENANT, stage.kernel.digest(stage.text)) is not None
    spawned = [e for row in stage.store.reader().rows(1) for e in ev.decode_entry(row.record).events]
    assert sum(isinstance(e, ev.ProcessExeced) for e in spawned) == 1
