"""Workers that break the protocol, through a real kernel: each is an exit status with a reason, or an errno, no more.

All of them run at once in one kernel, beside an honest program that has to come through.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.runtime.confined import ConfinedWorker
from prytany.system.shard import Shard
from tests.surfaces import hostile_worker
from tests.surfaces.shards import events_of, process, spawn, turns_until, with_shard

PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="proc model")
async def main(proc, *how):
    return "honest"

@agent(pledge="model")
async def honest(proc):
    for turn in range(20):
        await proc.llm(str(turn))
        await asyncio.sleep(0.002)
    return "came through"
"""
NO_FRAME = "its worker sent what is no frame"
BROKEN = {
    **dict.fromkeys(("garbage", "no msgpack", "another shape", "a number for calls"), NO_FRAME),
    **dict.fromkeys(("100 MB", "many calls", "deep call", "deep frame", "delivered a word"), NO_FRAME),
    "a name that is no text": NO_FRAME,
    "number again": "its worker numbered a call 1 after 1",
    "number ahead": "its worker numbered a call 7 after 0",
    "number below": "its worker numbered a call -1 after 0",
    "delivered less": "its worker said that it took -1 items of 1",
    "delivered more": "its worker said that it took 2 items of 1",
    "delivered huge": f"its worker said that it took {(1 << 64) - 1} items of 1",
    "nothing twice": "its worker said nothing, twice",
    "closes": "its worker closed its connection",
}
ANSWERED = {
    "others": ["ECHILD", "EPERM", "ECHILD", "ECHILD", "EINVAL", "ok"],
    "shapes": [*["EINVAL"] * 3, "EPERM", *["EINVAL"] * 3, "ok", *["EINVAL"] * 3, *["ENOENT"] * 3],
    "too many in flight": ["EAGAIN"],
}  # fmt: skip
ALL = (*hostile_worker.BYTES, *hostile_worker.ASKED, *hostile_worker.WAYS)


class Seen:
    """What became of them."""

    def __init__(self) -> None:
        self.ends: dict[str, dict[str, Any]] = {}
        self.honest: dict[str, Any] = {}
        self.backlog = 0
        self.events: list[ev.Event] = []
        self.log_bytes = 0
        self.alive_after: dict[str, Any] = {}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "main.py").write_text(PROGRAM)

    async def body(shard: Shard) -> Seen:
        seen = Seen()
        operator = shard.kernel.operator
        honest = spawn(shard, f"{folder}/main.py:honest")
        assert honest == hostile_worker.OTHER
        pids = {how: spawn(shard, f"{folder}/main.py:main", how) for how in ALL}
        never = pids.pop("never reads")
        ends = await asyncio.gather(*(operator.wait_ended(pid) for pid in pids.values()))
        seen.ends = dict(zip(pids, ends, strict=True))
        seen.honest = await operator.wait_ended(honest)
        worker = shard.kernel.workers.live[never].worker
        assert isinstance(worker, ConfinedWorker)
        await turns_until(lambda: worker.held_back)
        calls = process(shard, never).usage.calls
        seen.alive_after = await operator.wait_ended(spawn(shard, f"{folder}/main.py:main"))
        assert process(shard, never).usage.calls - calls < 500
        seen.backlog = worker.backlog_bytes
        operator.signal(never, 9, uid=0)
        seen.ends["never reads"] = await operator.wait_ended(never)
        seen.events = events_of(shard)
        seen.log_bytes = shard.logs.path(pids["floods"]).stat().st_size
        return seen

    return with_shard(folder / "home", body, entry=f"{hostile_worker.__file__}:main")


@pytest.mark.parametrize("how", BROKEN)
def test_what_breaks_the_protocol_is_an_exit_status_with_a_reason(seen: Seen, how: str) -> None:
    ended = seen.ends[how]
    assert ended["status"] != 0
    assert ended["reason"] == BROKEN[how]


@pytest.mark.parametrize("how", ANSWERED)
def test_what_asks_for_too_much_is_answered_with_an_errno(seen: Seen, how: str) -> None:
    assert (seen.ends[how]["status"], seen.ends[how]["result"]) == (0, ANSWERED[how])


def test_calls_after_an_exit_change_nothing(seen: Seen) -> None:
    ended = seen.ends["exits and goes on"]
    assert (ended["status"], ended["result"], ended["reason"]) == (0, "done", "returned"), ended
    after = [e for e in seen.events if getattr(e, "pid", 0) == ended["pid"] and isinstance(e, ev.CallDone)]
    assert after == []


def test_a_worker_that_never_reads_is_held_back_and_can_be_killed(seen: Seen) -> None:
    # What it had asked before it was held back comes on top; on a slow disk that is more.
    assert limits.BACKLOG_BYTES < seen.backlog < limits.BACKLOG_BYTES * 4
    assert seen.ends["never reads"]["signal"] == 9


def test_a_flood_of_output_ends_in_a_bounded_log(seen: Seen) -> None:
    assert seen.ends["floods"]["status"] == 0
    assert 0 < seen.log_bytes <= limits.LOG_BYTES_MAX


def test_half_a_frame_is_an_end_like_any_other(seen: Seen) -> None:
    assert seen.ends["half a frame"]["status"] == 4


def test_what_a_worker_says_of_its_error_is_no_content_of_the_journal(seen: Seen) -> None:
    assert (seen.ends["bad error"]["status"], seen.ends["bad error"]["reason"]) == (3, "raised an error")


def test_others_and_the_kernel_go_on(seen: Seen) -> None:
    assert (seen.honest["status"], seen.honest["result"]) == (0, "came through")
    assert seen.alive_after["result"] == "honest"
