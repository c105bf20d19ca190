"""Nothing is paid twice: a fleet that is up, whose kernel and workers die by SIGKILL at moments from a seed.

What reached the endpoint is held against the record: a question came once, and once more for each attempt that the
record calls lost, so that nobody knows whether it was answered; and `cost` tells those apart from what was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random  # noqa: TID251 - from a seed that is printed
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.drivers.models.scripted import ScriptedModel
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.journal.bodies import Stored
from prytany.kernel.ledger import TENANT
from prytany.ports.model import Embedded, ModelAnswer, ModelRequest, Usage
from prytany.runtime import landlock
from prytany.testing.model_endpoint import ModelEndpoint
from tests.simulation.sweep import again
from tests.simulation.test_episodes import check_calls
from tests.surfaces.commands import ROOT, command, here

pytestmark = pytest.mark.skipif(landlock.abi_version() == 0, reason="no Landlock on this machine")

SERVICES = ("ann", "ben")
ROUNDS, KILLS = 6, 6
INPUT, OUTPUT = 3, 15
FLEET = """
version: 1
name: shop
models:
  default: {{driver: openai, base_url: "{url}", model: large, prices: {{input: {INPUT}, output: {OUTPUT}}}}}
agents:
  ann: {{program: main.py:main, service: true, restarts: 1000, spawns: [clerk]}}
  ben: {{program: main.py:main, service: true, restarts: 1000, spawns: [clerk]}}
  clerk: {{instruction: Answer in one line.}}
"""
MAIN = f"""
import asyncio
from prytany import Process, agent

async def streamed(proc, prompt):
    return "".join([piece async for piece in proc.llm(prompt, stream=True)])

@agent(pledge="model proc ipc")
async def main(proc: Process):
    mine = f"{{proc.name}} {{proc.now().timestamp()}} {{proc.random()}}"  # another in each incarnation
    talk = proc.conversation()
    for turn in range({ROUNDS}):
        await asyncio.gather(proc.llm(f"{{mine}} {{turn}} left"), proc.llm(f"{{mine}} {{turn}} right"))
        await talk.llm(f"{{mine}} {{turn}} talk")
        try:
            await streamed(proc, f"{{mine}} {{turn}} stream")
        except Exception as error:
            proc.log("cut", error=error)
        await proc.run("clerk", prompt=f"{{mine}} {{turn}} clerk")
        await proc.embed([f"{{mine}} {{turn}} vector"])
    proc.log("done")
    await proc.sleep(1_000_000)
"""


class Counting(ScriptedModel):
    """Knows how often each question came, by its own words."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.usage: dict[str, Usage] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        self.asked[words_of(request.messages)] += 1
        async for item in super().stream(request):
            if isinstance(item, ModelAnswer):
                self.usage[words_of(request.messages)] = item.usage
            yield item

    async def embed(self, texts: list[str]) -> Embedded:
        self.asked[texts[0]] += 1
        embedded = await super().embed(texts)
        self.usage[texts[0]] = embedded.usage
        return embedded


def words_of(messages: list[dict[str, Any]]) -> str:
    return str(messages[-1]["content"])


class Fact(NamedTuple):
    """What the record says of one attempt."""

    question: str
    used: ev.ModelUsed


def facts_of(home: Path) -> tuple[list[Fact], int, list[ev.Event]]:
    """Each attempt with its question, how many processes are done, and all events."""
    reader = SqliteReader(home / "journal.db")
    asked: dict[tuple[int, int], str] = {}
    facts: list[Fact] = []
    events: list[ev.Event] = []
    sleeps: set[int] = set()
    for row in reader.rows(1):
        stored = Stored(reader, TENANT, row.bodies, "the test")
        for event in ev.decode_entry(row.record).events:
            events.append(event)
            if isinstance(event, ev.CallOpened) and event.call in ("model_chat", "model_embed"):
                first, *_ = msgspec.msgpack.decode(stored.read(event.argument))
                asked[event.pid, event.n] = words_of(first) if event.call == "model_chat" else first[0]
            elif isinstance(event, ev.CallOpened) and event.call == "timer_wait":
                sleeps.add(event.pid)
            elif isinstance(event, ev.ModelUsed) and event.cause != ev.HELD:
                facts.append(Fact(asked[event.pid, event.n], event))
            elif isinstance(event, ev.ProcessFailed):
                sleeps.discard(event.pid)
    reader.close()
    return facts, len(sleeps), events


def below(pid: int) -> list[int]:
    """The processes that came of one of the operating system's."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                found += [child, *below(child)]
    return found


async def started(folder: Path, home: Path) -> asyncio.subprocess.Process:
    with (folder / "said").open("a") as said:
        return await asyncio.create_subprocess_exec(
            *command("up", str(folder), "--trust", "--plain", home=home), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
            stdout=said, stderr=said,
        )  # fmt: skip


async def live(endpoint: ModelEndpoint, folder: Path, home: Path, chance: random.Random | None, workers: bool) -> None:
    """One life: to a moment of chance, or until everyone is done."""
    kernel = await started(folder, home)
    try:
        if chance is None:
            while done(home) < len(SERVICES):
                assert kernel.returncode is None, (folder / "said").read_text()
                await moment(0.1)
            return
        for _ in range(chance.randrange(1, 4) if workers else 1):
            with suppress(TimeoutError):
                await asyncio.wait_for(endpoint.wait_calls(endpoint.total + chance.randrange(1, 9)), 5)
            await moment(chance.random() * 0.05)
            if workers and (found := below(kernel.pid)):
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(found), signal.SIGKILL)
    finally:
        if kernel.returncode is None:
            kernel.kill()
        await kernel.wait()


def done(home: Path) -> int:
    """How many services have asked all that they were to ask."""
    return facts_of(home)[1] if (home / "journal.db").exists() else 0


async def moment(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - real processes are killed at real moments


async def kill_again_and_again(folder: Path, seed: int, kills: int, workers: bool) -> None:
    chance, home, model = random.Random(seed), folder / "home", Counting()
    async with ModelEndpoint(model, latency_ms=40) as endpoint:
        (folder / "fleet.yaml").write_text(FLEET.format(url=endpoint.base_url, INPUT=INPUT, OUTPUT=OUTPUT))
        (folder / "main.py").write_text(MAIN)
        for _ in range(kills):
            await live(endpoint, folder, home, chance, workers)
            if done(home) == len(SERVICES):
                break
        await asyncio.wait_for(live(endpoint, folder, home, None, workers), 240)
    check_paid(home, model)


def check_paid(home: Path, model: Counting) -> None:
    """Each question came as often as the record says, and what was answered costs what it took at the endpoint."""
    facts, _, events = facts_of(home)
    check_calls(events, "killed")
    answered = Counter(fact.question for fact in facts if not fact.used.cause)
    unanswered = Counter(fact.question for fact in facts if fact.used.cause)
    assert {fact.used.cause for fact in facts} <= {"", "lost", "cancelled"}, "the rule by which each was settled"
    assert set(answered.values()) == {1}, "nothing is answered twice"
    for question, times in model.asked.items():
        assert answered[question] <= times <= answered[question] + unanswered[question], question
    *_, total = map(json.loads, here("cost", "--json", home=home).stdout.splitlines())
    assert (total["calls"], total["failed"]) == (answered.total(), unanswered.total())
    taken = [model.usage[question] for question in answered]
    tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in taken)
    assert total["prompt_tokens"] + total["completion_tokens"] - total["unanswered_tokens"] == tokens
    cost = sum(usage.prompt_tokens * INPUT + usage.completion_tokens * OUTPUT for usage in taken)
    assert total["cost_usd_micros"] - total["unanswered_usd_micros"] == cost


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "workers"), [(7, False), (100, True)])
def test_nothing_is_paid_twice_however_often_a_kernel_is_killed(tmp_path: Path, seed: int, workers: bool) -> None:
    with again(kill_again_and_again, tmp_path, seed, KILLS, workers):
        asyncio.run(kill_again_and_again(tmp_path, seed, KILLS, workers))
