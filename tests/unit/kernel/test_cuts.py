"""What a cut of a record begins anew, and what a version that takes over brings to an end."""

from __future__ import annotations

from prytany.abi import events as ev
from prytany.kernel.quotas import Quotas
from prytany.process.process import State
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_messages import staged

REFUSALS_MAX = 3


async def refused(stage: Stage, puppet: Puppet, times: int) -> None:
    for _ in range(times):
        assert (await stage.ask(puppet, "model_chat", [], "", {}))[0] == "EPERM"


def few_refusals(stage: Stage) -> None:
    stage.kernel.trap._quotas = Quotas(refusals_max=REFUSALS_MAX)


@staged
async def test_refusals_are_counted_anew_where_a_server_is_done_with_a_message(stage: Stage) -> None:
    few_refusals(stage)
    server = await stage.root("Server")
    for _ in range(4):
        assert (await stage.ask(server, "message_done", 0, b"state"))[0] == ""
        await refused(stage, server, REFUSALS_MAX)
    await stage.ask(server, "nop", b"")  # with it, those that were gathered are recorded
    process = stage.kernel.table.require(server.pid)
    assert (process.alive, process.usage.denials) == (True, 4 * REFUSALS_MAX)
    server.call("model_chat", [], "", {})
    await stage.settled()
    assert not process.alive, "within one history they still add up"


@staged
async def test_refusals_are_counted_anew_after_exec(stage: Stage) -> None:
    few_refusals(stage)
    one = await stage.root()
    await refused(stage, one, REFUSALS_MAX)
    one.call("process_exec", b"state")
    await stage.settled()
    again = stage.puppets[one.pid]
    assert again is not one
    await refused(stage, again, REFUSALS_MAX)
    assert stage.kernel.table.require(one.pid).alive


async def reverted(stage: Stage) -> Puppet:
    """A server that goes on with its old program, since the new one failed at the state."""
    one = await stage.root("Server")
    await stage.ask(one, "message_done", 0, b"one")
    stage.text = b"# broken"
    assert stage.kernel.operator.upgrade(one.pid, uid=0)
    await stage.settled()
    stage.puppets[one.pid].call("process_exit", 1, None, {"type": "ValueError"})
    await stage.settled()
    assert list(stage.kernel.table.incidents) == [f"{one.pid}:upgrade:0"]
    return stage.puppets[one.pid]


@staged
async def test_a_failed_upgrade_needs_nobody_any_more_when_a_later_one_has_taken_over(stage: Stage) -> None:
    old = await reverted(stage)
    await stage.ask(old, "message_done", 0, b"two")
    assert stage.kernel.table.incidents, "the old program is no success of the new one"
    stage.text = b"# mended"
    assert stage.kernel.operator.upgrade(old.pid, uid=0)
    await stage.settled()
    mended = stage.puppets[old.pid]
    assert stage.kernel.table.incidents, "it has not taken the state over yet"
    await stage.ask(mended, "message_done", 0, b"three")
    assert stage.kernel.table.incidents == {}
    assert stage.kernel.table.require(old.pid).incidents == {}
    recorded = [e for row in stage.kernel.reader.rows(1) for e in ev.decode_entry(row.record).events]
    assert [e for e in recorded if isinstance(e, ev.IncidentClosed)] == [ev.IncidentClosed(old.pid, "upgrade")]


@staged
async def test_a_failed_upgrade_is_not_forgotten_by_a_stop_and_a_continuation(stage: Stage) -> None:
    old = await reverted(stage)
    for signal in (19, 18):
        stage.kernel.operator.signal(old.pid, signal, uid=0)
        await stage.settled()
    assert stage.kernel.table.require(old.pid).state is State.RUNNING
    assert list(stage.kernel.table.incidents) == [f"{old.pid}:upgrade:0"]
