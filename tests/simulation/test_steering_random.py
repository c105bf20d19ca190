"""Programs that talk to each other, stopped, continued, put away and cut off at random: everybody comes to their end.

About one seed in 400 found the place that was lost for good where a process came back by another way than it had asked
for; which one depends on when the journal's thread is done.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 seeded
from collections.abc import Generator
from contextlib import suppress
from typing import Any

import pytest

from prytany.abi.errors import KernelError
from prytany.abi.signals import Signal
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.kernel.outcome import Program
from prytany.process.process import State
from tests.simulation import stepped
from tests.simulation.fleet import StoppingStore
from tests.simulation.looped import looped
from tests.simulation.stepped import Life, Steps

UID = 0
SEEDS, SEEDS_SLOW = 20, 1000
LIVES = 6
STEERINGS = 60
CLIENTS, CALLS = 3, 2
STOPS_AND_GOES = ((Signal.STOP, Signal.CONT), (Signal.STOP,), (Signal.CONT,), (Signal.STOP, Signal.CONT) * 2)
Running = Generator[Any, Any, None]


def server() -> Running:
    for _ in range(CLIENTS * CALLS):
        _, message = yield [("message_receive", 0)]
        while not isinstance(message, dict):
            _, message = yield []
        yield [("nop", b"w")]
        yield [("message_done", message["message"], None, message["body"])]


def client(serves: int, k: int) -> Running:
    got: list[Any] = []
    for i in range(CALLS):
        _, answer = yield [("message_call", serves, "t", [k, i], 0)]
        got.append(answer)
        yield [("timer_wait", 1), ("nop", b"a"), ("file_read", "x")]
        yield []
        yield []
    yield [("model_chat", [{"role": "user", "content": f"{k}"}], "", {})]
    yield [("process_exit", 0, got, None)]


def boss() -> Running:
    _, serves = yield [("process_spawn", "server", [], {}, "", None)]
    clients: list[int] = []
    for k in range(CLIENTS):
        _, pid = yield [("process_spawn", "client", [serves, k], {}, "", None)]
        clients.append(pid)
    results: list[Any] = []
    for pid in (*clients, serves):
        _, ended = yield [("process_wait", pid)]
        while not isinstance(ended, dict):
            _, ended = yield []
        results.append(ended["result"])
    yield [("process_exit", 0, results, None)]


PROGRAMS: dict[str, Steps] = {"server": server, "client": client, "boss": boss}


async def steer(life: Life, rng: random.Random) -> None:
    table, operator = life.kernel.table, life.kernel.operator
    if not table.processes:
        life.spawn("boss")
    for _ in range(STEERINGS):
        alive = [p.pid for p in table.processes.values() if p.alive]
        if alive and rng.random() < 0.4:
            pid = rng.choice(alive)
            for signal in rng.choice(STOPS_AND_GOES):
                operator.signal(pid, signal, uid=UID)
        for _ in range(rng.randrange(12)):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(turn.set_result, None)
            await turn
        if life.failed.done():
            return


def found(target: str, beside: str) -> Program:
    return Program(target, target, b"# " + target.encode(), ("model", "proc", "ipc"))


@pytest.mark.parametrize(
    "seed", [*range(SEEDS), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(SEEDS, SEEDS_SLOW))]
)
@looped
async def test_everybody_comes_to_their_end(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepped, "find_program", found)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # a store that stops raises everywhere
    rng, store = random.Random(seed), MemoryStore()
    for n in range(LIVES):
        last = n == LIVES - 1
        head = store.reader().head()
        at = 0 if last else (head.seq if head else 0) + rng.randrange(3, 30)
        life = Life(StoppingStore(store, at, after_commit=rng.random() < 0.5), PROGRAMS, rng.choice([1, 2, 9]))
        life.kernel.workers.most = rng.choice([1, 2, 99])
        life.model.gate.set()
        with suppress(KernelError):
            await steer(life, rng)
        if last:
            for process in list(life.kernel.table.processes.values()):
                if process.state is State.STOPPED:
                    life.kernel.operator.signal(process.pid, Signal.CONT, uid=UID)
            result = (await life.ended(1))["result"]
            assert result[:CLIENTS] == [[[k, i] for i in range(CALLS)] for k in range(CLIENTS)]
        store = await life.stop()
        assert fold_from_snapshot(store.reader()).state.digest() == fold_from_start(store.reader()).state.digest()
