"""What a process and its tenant may put into the journal is bounded, and so is what its refusals put there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Edquot
from prytany.kernel.quotas import Quotas
from prytany.ports.model import ModelAnswer
from prytany.process.process import Process as Row
from tests.simulation.fleet import PLEDGES, PROGRAMS, CountingModel, Fleet

ATTEMPTS = 60


async def filler(proc: Any) -> list[str]:
    """Puts a kibibyte at a time into the journal, and goes on when it is refused."""
    said: list[str] = []
    for _ in range(ATTEMPTS):
        try:
            await proc.nop(bytes(1_024))
            said.append("")
        except Edquot as error:
            said.append(str(error.detail["cause"]))
    return said


async def small(proc: Any) -> list[str]:
    said: list[str] = []
    for _ in range(ATTEMPTS):
        try:
            await proc.nop(b"")
            said.append("")
        except Edquot as error:
            said.append(str(error.detail["cause"]))
    return said


async def big_answer(proc: Any) -> str:
    try:
        return f"{len(await proc.llm('long'))} bytes"
    except Edquot as error:
        return str(error.detail["cause"])


async def bad_exits(proc: Any) -> None:
    for _ in range(ATTEMPTS):
        with pytest.raises(Exception, match=r"status|share"):
            await proc.calls.process_exit(999, bytes(2_000))


async def deaf(proc: Any) -> None:
    while True:
        try:
            await proc.nop(b"")
        except Edquot:
            continue


NEW = {"filler": filler, "small": small, "big_answer": big_answer, "bad_exits": bad_exits, "deaf": deaf}
PROGRAMS.update(NEW)
PLEDGES.update(dict.fromkeys(NEW, ("model",)))


def lived(root: str, quotas: Quotas) -> tuple[Fleet, dict[str, Any]]:
    fleet = Fleet(root, quotas=quotas)
    ended = asyncio.run(fleet.live())
    assert ended is not None
    return fleet, ended


def size_of(fleet: Fleet) -> int:
    return sum(len(row.record) + len(row.bodies) for row in fleet.store.reader().rows(1))


def root_of(fleet: Fleet) -> Row:
    return fleet.table().processes[1]


@pytest.mark.parametrize(("quotas", "cause"), [
    (Quotas(process_bytes=20_000), "process"), (Quotas(tenant_bytes=20_000), "tenant"),
])  # fmt: skip
def test_a_share_that_is_used_up_refuses_and_the_process_still_ends(quotas: Quotas, cause: str) -> None:
    _, ended = lived("filler", quotas)
    said = ended["result"]
    allowed = said.index(cause)
    assert 10 < allowed < 20
    assert said == [""] * allowed + [cause] * (ATTEMPTS - allowed)
    assert ended["status"] == 0


def test_refusals_are_counted_and_not_repeated() -> None:
    fleet, _ = lived("filler", Quotas(process_bytes=20_000))
    denied = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.CallsDenied)]
    assert len(denied) == 2
    assert sum(len(e.ns) for e in denied) == root_of(fleet).denied["nop EDQUOT"]
    # The last entry is its end, with what it leaves; what came before kept to the share.
    assert size_of(fleet) < 20_000 + limits.OVERDRAFT_BYTES_MAX


def test_the_bytes_are_part_of_the_fold_and_are_those_that_were_stored() -> None:
    fleet, _ = lived("parent", Quotas())
    table = fleet.table()
    stored = fleet.store.reader()
    shared = {b"# parent", b"# child"}
    bodies = sum(len(body.content) for body in stored.bodies() if body.content not in shared)
    assert table.journal_bytes == size_of(fleet) + bodies
    assert 0 < table.processes[1].journal_bytes < table.journal_bytes


class Long(CountingModel):
    async def chat(self, request: Any) -> ModelAnswer:
        return ModelAnswer("x" * 90_000, "stop")


@pytest.mark.parametrize(("share_bytes", "said"), [(120_000, "90000 bytes"), (80_000, "process")])
def test_a_large_result_beyond_the_share_is_refused_when_it_comes(share_bytes: int, said: str) -> None:
    fleet = Fleet("big_answer", quotas=Quotas(process_bytes=share_bytes))
    fleet.model = Long()
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == said


def test_failing_to_end_is_no_way_round_a_share() -> None:
    fleet, ended = lived("bad_exits", Quotas(process_bytes=20_000))
    assert ended["status"] == 0
    assert size_of(fleet) < 30_000


def test_a_history_warns_once_and_then_refuses() -> None:
    fleet, ended = lived("small", Quotas(history_calls_warn=20, history_calls_max=40))
    assert ended["result"] == [""] * 40 + ["history"] * 20
    warned = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ProcessWarned)]
    assert warned == [ev.ProcessWarned(1, "history", 20)]
    assert root_of(fleet).warned == {"history": 20}


def test_a_process_that_does_not_hear_its_refusals_is_ended() -> None:
    fleet, ended = lived("deaf", Quotas(history_calls_warn=5, history_calls_max=10, refusals_max=3_000))
    assert ended["status"] == 1
    assert "3000 of its calls were denied" in ended["reason"]
    assert size_of(fleet) < 40_000


@pytest.mark.parametrize("after_commit", [False, True])
def test_what_was_refused_is_refused_again_after_a_stop_at_any_append(after_commit: bool) -> None:
    quotas = Quotas(process_bytes=10_000)
    whole, ended = lived("filler", quotas)
    head = whole.store.reader().head()
    assert head is not None
    for stop_at in range(2, head.seq + 1):
        fleet = Fleet("filler", quotas=quotas)
        asyncio.run(fleet.live(stop_at, after_commit=after_commit))
        again = asyncio.run(fleet.live())
        assert again is not None
        assert again["result"] == ended["result"], f"stopped at {stop_at}"
        assert root_of(fleet).denied == root_of(whole).denied
