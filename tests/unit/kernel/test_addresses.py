"""Names as addresses: whom a name means, in a run and in a fleet, and what is said where it means nobody or several."""

from __future__ import annotations

from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.kernel.folding import fold_from_start
from prytany.kernel.state import ShardState
from tests.unit.kernel.puppets import Puppet, Stage
from tests.unit.kernel.test_messages import staged


async def named(stage: Stage, parent: Puppet, name: str) -> Puppet:
    """A child of that name."""
    errno, pid = await stage.ask(parent, "process_spawn", "program", [], {}, name)
    assert errno == ""
    return stage.puppets[pid]


def fleet(stage: Stage, number: int = 1) -> None:
    """A fleet of two agents."""
    declared = ev.FleetDeclared(number, f"f{number}", b"", {}, [], True, 0)
    agents = [
        ev.AgentDeclared(number, name, "python", "program", b"", ["ipc", "proc"], "", [], {}, ["support"], 1)
        for name in ("sales", "support")
    ]
    stage.kernel.ledger.commit((declared, *agents), {})


async def member(stage: Stage, agent: str, number: int = 1, *, parent: Puppet | None = None, name: str = "") -> Puppet:
    """A process of a fleet."""
    kernel = stage.kernel
    pid = kernel.table.next_number
    spawned = ev.ProcessSpawned(
        pid, parent.pid if parent else 0, parent.pid if parent else pid, name or agent, "inline", "program",
        kernel.shared_digest(stage.text), kernel.digest(b"\x92\x90\x80"), ["ipc", "proc"], {}, b"0" * 32, 0,
        fleet=number, agent=agent,
    )  # fmt: skip
    argument = b"\x92\x90\x80"
    kernel.ledger.commit((spawned, ev.ProcessReady(pid, 1)), {kernel.digest(argument): argument}, (stage.text,))
    await stage.settled()
    return stage.puppets[pid]


async def met(stage: Stage, sender: Puppet, to: int | str) -> Any:
    """Who gets what is sent to `to`; else the error's name and detail."""
    errno, value = await stage.ask(sender, "message_send", to, "x", None)
    if errno:
        return errno, value[1]
    sent = [e for e in last_events(stage) if isinstance(e, ev.MessageSent)]
    return sent[-1].receiver


def last_events(stage: Stage) -> list[Any]:
    """The events of the journal."""
    return [event for row in stage.store.reader().rows(1) for event in ev.decode_entry(row.record).events]


@staged
async def test_a_name_means_who_is_called_so_in_the_run(stage: Stage) -> None:
    one, other = await stage.root(), await stage.root("elsewhere")
    two = await named(stage, one, "support")
    assert await met(stage, one, "support") == two.pid
    assert await met(stage, two, "program") == one.pid
    assert await met(stage, one, "program") == one.pid
    assert await met(stage, other, "support") == ("ESRCH", {"near": ["elsewhere"]})
    assert await met(stage, one, "suport") == ("ESRCH", {"near": ["support"]})
    two.call("process_exit", 0)
    await stage.settled()
    assert await met(stage, one, "support") == ("ESRCH", {"near": ["program"]})


@staged
async def test_a_name_of_several_is_einval_and_names_them(stage: Stage) -> None:
    one = await stage.root()
    pids = [(await named(stage, one, "worker")).pid for _ in range(3)]
    assert await met(stage, one, "worker") == ("EINVAL", {"pids": pids})
    many = [(await named(stage, one, "crowd")).pid for _ in range(12)]
    assert await met(stage, one, "crowd") == ("EINVAL", {"pids": many[:8]})


@staged
async def test_members_of_a_fleet_reach_each_other_in_whatever_run_and_nobody_else(stage: Stage) -> None:
    fleet(stage)
    fleet(stage, 2)
    sales, support = await member(stage, "sales"), await member(stage, "support")
    other, stranger = await member(stage, "support", 2), await stage.root("stranger")
    assert await met(stage, sales, "support") == support.pid
    assert await met(stage, sales, support.pid) == support.pid
    assert await met(stage, other, "support") == other.pid
    assert (await met(stage, other, "sales"))[0] == "ESRCH"
    for outside in (other, stranger):
        assert (await met(stage, outside, sales.pid))[0] == "EPERM"
        assert (await met(stage, sales, outside.pid))[0] == "EPERM"


@staged
async def test_in_a_fleet_the_own_run_comes_first_and_then_roots(stage: Stage) -> None:
    fleet(stage)
    sales, support = await member(stage, "sales"), await member(stage, "support")
    own = await member(stage, "support", parent=sales)
    third = await member(stage, "sales", name="third")
    assert await met(stage, sales, "support") == own.pid
    assert await met(stage, third, "support") == support.pid
    helper = await member(stage, "support", parent=support, name="helper")
    assert await met(stage, third, "support") == support.pid
    assert await met(stage, third, "helper") == helper.pid
    assert (await met(stage, support, "sales"))[0] == "EINVAL"  # `third` is of that agent too


@staged
async def test_names_are_folded_anew_as_they_were_and_read_out_of_older_states(stage: Stage) -> None:
    fleet(stage)
    sales = await member(stage, "sales")
    await member(stage, "support", parent=sales, name="desk")
    one = await stage.root()
    gone = await named(stage, one, "gone")
    gone.call("process_exit", 0)
    await stage.settled()
    state = stage.kernel.state
    assert fold_from_start(stage.store.reader()).state.names == state.names
    older = msgspec.msgpack.decode(state.encode())
    del older["names"]
    read = msgspec.convert(older, ShardState)
    assert read.names == state.names
    assert state.names.pids("run:1", "desk") == {2: None}


@staged
async def test_a_name_is_resolved_when_a_call_is_made_and_its_reply_finds_back_across_runs(stage: Stage) -> None:
    fleet(stage)
    sales, support = await member(stage, "sales"), await member(stage, "support")
    asked = sales.call("message_call", "support", "order", {"n": 1})
    taken = (await stage.ask(support, "message_receive"))[1]
    assert (taken["sender"], taken["body"]) == (sales.pid, {"n": 1})
    assert (await stage.ask(support, "message_done", taken["message"], None, "done"))[0] == ""
    assert sales.answers[asked] == ("", "done")
    lost = sales.call("message_call", "support", "order", {})
    support.call("process_exit", 0)
    await stage.settled()
    assert sales.answers[lost][0] == "EPIPE"
