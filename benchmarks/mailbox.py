"""Messages a second, durable: `python -m benchmarks.mailbox --json`.

A pair is a call of one agent and the reply of another, which received the message and finished with it: what was sent,
received, replied and finished is in the journal before anybody goes on. `call_per_s`: pairs among 100 inline agents in
a ring, each of which serves one neighbour and calls the other, one call in flight each. `worker_call_per_s`: the same
among 16 confined workers. `send_per_s`: one-way sends among 100 inline agents in a ring, acknowledged one by one, each
received and finished with meanwhile by agents that do so in the same run; `sent_alone_per_s` where nobody receives
them. Each is the median of five rounds, in turns. With `--peers`, `ratio_autogen`: `call_per_s` over the pairs a second
of autogen-core's runtime, which keeps nothing, in the same form and run, at the better of two
ways to use it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from benchmarks import peers
from prytany.abi import events as ev
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard

ROUNDS = 5
PROGRAM = """
import asyncio
from prytany import agent

@agent(pledge="ipc proc")
async def ring(proc, program, count, number, flying):
    pids = [await proc.spawn(":" + program, number, flying) for _ in range(count)]
    for at, pid in enumerate(pids):
        await proc.send(pid, "begin", neighbour=pids[at - 1])
    for pid in pids:
        await proc.wait(pid)

async def taken(proc, number, begin):
    # Whoever begins first calls its neighbour before that has begun.
    async for message in proc.messages():
        if message.type == "begin":
            begin(message.body["neighbour"])
            continue
        message.answer = message.body["at"]
        number -= 1
        if not number:
            await message.done(message.answer)
            return

@agent(pledge="ipc")
async def caller(proc, number, flying):
    begin = asyncio.get_running_loop().create_future()
    async def ask(first):
        neighbour = await begin
        for at in range(first, number, flying):
            assert await proc.call(neighbour, "ask", at=at) == at
    await asyncio.gather(taken(proc, number, begin.set_result), *map(ask, range(flying)))

@agent(pledge="ipc")
async def sender(proc, number, flying):
    begin = asyncio.get_running_loop().create_future()
    async def send():
        neighbour = await begin
        for at in range(number):
            await proc.send(neighbour, "note", at=at, text="x" * 64)
    await asyncio.gather(taken(proc, number, begin.set_result), send())

@agent(pledge="ipc")
async def only_sender(proc, number, flying):
    while (message := await proc.receive()).type != "begin":
        pass
    for at in range(number):
        await proc.send(message.body["neighbour"], "note", at=at, text="x" * 64)
    await asyncio.get_running_loop().create_future()
"""


def until(kind: type, number: int) -> tuple[Callable[[int, int, Sequence[ev.Event]], None], asyncio.Future[float]]:
    """A watcher of durable entries; and the seconds from the first `MessageSent` that is of none of the beginning to
    the `number`-th event of `kind` after it."""
    took: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    began, seen = 0.0, 0

    def watch(seq: int, time_ns: int, events: Sequence[ev.Event]) -> None:
        nonlocal began, seen
        for event in events:
            if not began:
                if type(event) is not ev.MessageSent or event.kind == "begin":
                    continue
                began = time.perf_counter()
            if type(event) is kind:
                seen += 1
                if seen == number and not took.done():
                    took.set_result(time.perf_counter() - began)

    return watch, took


async def measure(home: Path, kind: str, program: str, agents: int, number: int, flying: int, event: type) -> float:
    """How many a second of what `agents` agents do `number` times each, by events of that type."""
    text = home.parent / "mailbox_program.py"
    text.write_text(PROGRAM)
    watch, took = until(event, agents * number)

    def inline(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({})}

    shard = await Shard.open(
        home, {}, running_max=agents + 1, watch=watch, runners=inline if kind == "inline" else None
    )
    try:
        root = shard.kernel.operator.spawn(f"{text}:ring", [program, agents, number, flying], {}, uid=0, kind=kind)
        ended = asyncio.ensure_future(shard.kernel.operator.wait_ended(root))
        await asyncio.wait((took, ended), return_when=asyncio.FIRST_COMPLETED)
        if not took.done():
            raise AssertionError(f"{program} ended before it had done {agents * number}: {ended.result()}")
        ended.cancel()
        return agents * number / took.result()
    finally:
        await shard.close()


CASES: dict[str, tuple[str, str, int, int, int, type]] = {
    "call_per_s": ("inline", "caller", 100, 200, 1, ev.MessageDone),
    "send_per_s": ("inline", "sender", 100, 200, 1, ev.MessageSent),
    "sent_alone_per_s": ("inline", "only_sender", 100, 300, 1, ev.MessageSent),
    "worker_call_per_s": ("python", "caller", 16, 400, 1, ev.MessageDone),
}


def main() -> None:
    """Measure, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", action="store_true", help="measure autogen-core as well (installs it)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in CASES}
    if given.peers:
        found["autogen_per_s"] = []
    with tempfile.TemporaryDirectory() as name:
        for turn in range(given.rounds):  # by turns, so that what else the machine does meets all of them
            for case, terms in CASES.items():
                found[case].append(uvloop.run(measure(Path(name) / f"{case}{turn}", *terms)))
            if given.peers:
                found["autogen_per_s"].append(max(peers.measured("autogen", "autogen_calls.py").values()))
    figures = {case: float(round(statistics.median(rates))) for case, rates in found.items()}
    if given.peers:
        figures["ratio_autogen"] = round(figures["call_per_s"] / figures["autogen_per_s"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
