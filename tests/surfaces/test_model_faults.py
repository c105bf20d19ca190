"""Models that misbehave, through a kernel on disk and the real driver.

Each ends in EMODEL with its cause or waits for a person, nothing hangs, and the key is nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany import Process, agent
from prytany.abi import limits
from prytany.abi.errors import KernelError
from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.models.prices import Prices
from prytany.kernel.effects import model as model_effects
from prytany.process.process import State
from prytany.runtime.inline import InlineRunner
from prytany.scheduling import breaker
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import Fault, ModelEndpoint
from tests.simulation.streams import Turn

KEY = "-".join(("sk", "very", "secret", "0123456789"))  # not as such in this text, which the journal keeps as a program
PRICES = Prices(1.0, 2.0)


@agent(pledge="model")
async def asker(proc: Process, model: str, stream: bool) -> dict[str, Any]:
    try:
        if not stream:
            return {"text": await proc.llm("Hello there. How are you?", model=model)}
        pieces = proc.llm("Hello there. How are you?", model=model, stream=True)
        return {"text": await pieces}
    except KernelError as error:
        return {"errno": error.errno, "message": error.message, **error.detail}


@asynccontextmanager
async def shard(home: Path, *models: OpenAINative) -> AsyncGenerator[Shard, None]:
    runner = InlineRunner({f"{__file__}:asker": asker})
    opened = await Shard.open(home, {model.name: model for model in models}, runners=lambda logs: {"inline": runner})
    try:
        yield opened
    finally:
        await opened.close()


def driver(endpoint: ModelEndpoint, **options: Any) -> OpenAINative:
    return OpenAINative("m", base_url=endpoint.base_url, key=KEY, proxied=False, prices=PRICES, **options)


def hasty(endpoint: ModelEndpoint) -> OpenAINative:
    return driver(endpoint, name="hasty", timeout_ms=300)


def spawn(opened: Shard, model: str = "m", *, stream: bool = False) -> int:
    return opened.kernel.operator.spawn(f"{__file__}:asker", [model, stream], {}, uid=0, kind="inline")


async def ended(opened: Shard, pid: int) -> dict[str, Any]:
    end = await asyncio.wait_for(opened.kernel.operator.wait_ended(pid), 20)
    assert end["status"] == 0, end
    said: dict[str, Any] = end["result"]
    return said


def json_answer(content: bytes, usage: bytes = b"{}") -> Fault:
    return Fault(body=b'{"choices":[{"message":{"content":%s}}],"usage":%s}' % (content, usage))


def assert_no_key(home: Path) -> None:
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


ENDS: list[tuple[str, Fault, str, int]] = [
    ("an HTML page", Fault(body=b"<html>not a model</html>\n"), "garbage", 4),
    ("JSON that is cut", Fault(body=b'{"choices": [{"message": {"con'), "garbage", 4),
    ("wrong types", json_answer(b"7"), "garbage", 4),
    ("NaN", json_answer(b"NaN"), "garbage", 4),
    ("a lone surrogate", json_answer(b'"\\ud800"'), "garbage", 4),
    ("a lone surrogate in bytes", json_answer(b'"\xed\xa0\x80"'), "garbage", 4),
    ("a huge answer", json_answer(b'"%s"' % (b"x" * (limits.RESULT_BYTES_MAX + 1))), "garbage", 1),
    ("500", Fault.refusal(500, message=f"no such key {KEY}"), "overloaded", 4),
    ("400", Fault.refusal(400, message=f"Bearer {KEY} was given"), "bad_request", 1),
    ("too long", Fault.refusal(400, "context_length_exceeded"), "too_long", 1),
    ("a cut connection", Fault(cut_after_bytes=10), "interrupted", 4),
    ("silence", Fault(hold=True), "timeout", 4),
]


@pytest.mark.parametrize("stream", [False, True])
def test_each_fault_ends_in_emodel_with_its_cause_and_is_charged_where_the_endpoint_may_have_worked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(model_effects, "BACKOFF_NS", 1_000_000)
    monkeypatch.setattr(breaker, "FAILURES_MAX", 1_000)  # each fault is met as if it were the first

    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint), hasty(endpoint)) as opened:
            for what, fault, cause, attempts in ENDS:
                endpoint.always = fault
                before = endpoint.total
                pid = spawn(opened, "hasty" if cause == "timeout" else "m", stream=stream)
                said = await ended(opened, pid)
                # A stream without an end of line is not told from one that was cut, and may be tried again.
                strange = stream and cause == "garbage"
                assert said.get("errno") == "EMODEL", (what, said)
                assert said["cause"] == cause or (strange and said["cause"] == "interrupted"), (what, said)
                assert endpoint.total - before == attempts or strange, what
                assert KEY not in str(said)
                usage = opened.kernel.table.require(pid).usage
                assert usage.model_calls == endpoint.total - before
                assert (usage.prompt_tokens > 0) == (cause in ("garbage", "interrupted", "timeout")), what
                assert (usage.cost_usd_micros > 0) == (usage.prompt_tokens > 0)
                assert usage.reserved_prompt_tokens == 0

    asyncio.run(main())
    assert_no_key(tmp_path / "h")


def test_an_endpoint_that_is_not_there_is_emodel_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_effects, "BACKOFF_NS", 1_000_000)

    async def main() -> None:
        async with ModelEndpoint() as endpoint:
            gone = driver(endpoint)
        async with shard(tmp_path / "h", gone) as opened:
            pid = spawn(opened)
            assert (await ended(opened, pid))["cause"] == "unreachable"
            assert opened.kernel.table.require(pid).usage.prompt_tokens == 0

    asyncio.run(main())


def test_a_limit_that_passes_is_waited_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint)) as opened:
            endpoint.faults.append(Fault.refusal(429, "rate_limit_exceeded", retry_after_ms="1"))
            assert (await ended(opened, spawn(opened)))["text"] == "Hello there. [5 words]"
            assert endpoint.total == 2

    asyncio.run(main())


@pytest.mark.parametrize("fault", [Fault.refusal(401, message=KEY), Fault.refusal(402)])
def test_a_bad_key_waits_for_a_person_and_is_no_failure(tmp_path: Path, fault: Fault) -> None:
    async def main() -> None:
        async with ModelEndpoint() as endpoint:
            endpoint.always = fault
            async with shard(tmp_path / "h", driver(endpoint)) as opened:
                pid = spawn(opened)
                table = opened.kernel.table
                while not table.incidents:
                    await Turn()
                assert table.require(pid).state is State.RUNNING
                assert list(table.require(pid).open) == [1]
            endpoint.always = Fault()
            async with shard(tmp_path / "h", driver(endpoint)) as opened:
                assert (await ended(opened, pid))["text"] == "Hello there. [5 words]"
                usage = opened.kernel.table.require(pid).usage
                # The wait for a person was no attempt, and is not charged as a lost one.
                assert usage.model_calls == 2
                assert usage.prompt_tokens < 50

    asyncio.run(main())
    assert_no_key(tmp_path / "h")


@pytest.mark.parametrize(
    ("model", "how", "why"), [("m", "cut_after_bytes", "interrupted"), ("hasty", "hold_after_bytes", "timeout")]
)
def test_a_stream_that_ends_after_a_piece_says_interrupted_with_what_there_is(
    tmp_path: Path, model: str, how: str, why: str
) -> None:
    chunks = [b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word for word in (b"One ", b"two ")]
    ends: dict[str, Any] = {how: sum(map(len, chunks))}

    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint), hasty(endpoint)) as opened:
            # For ever: on a machine that is slow enough, the hasty one gives up before its first piece, and asks again.
            endpoint.always = Fault(body=b"".join([*chunks, b"rest"]), **ends)
            said = await ended(opened, spawn(opened, model, stream=True))
            assert (said["cause"], said["why"], said["text"]) == ("interrupted", why, "One two ")
            assert endpoint.total == 1 or model == "hasty"

    asyncio.run(main())


def test_an_endpoint_that_sends_the_key_back_does_not_get_it_into_the_journal(tmp_path: Path) -> None:
    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint)) as opened:
            endpoint.faults.append(json_answer(msgspec.json.encode(f"You sent {KEY}.")))
            assert (await ended(opened, spawn(opened)))["text"] == "You sent [struck out]."

    asyncio.run(main())
    assert_no_key(tmp_path / "h")


@pytest.mark.parametrize("said", [b"{}", b'{"prompt_tokens":%d}' % 10**30, b'{"prompt_tokens":"ten"}', b"[]"])
def test_a_usage_that_is_not_reported_or_is_none_is_estimated_and_says_so(said: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint)) as opened:
            endpoint.faults.append(json_answer(b'"a word or two"', said))
            pid = spawn(opened)
            await ended(opened, pid)
            usage = opened.kernel.table.require(pid).usage
            assert 5 < usage.prompt_tokens < 50
            assert 3 < usage.completion_tokens < 20
            assert usage.cost_usd_micros == usage.prompt_tokens + 2 * usage.completion_tokens

    asyncio.run(main())


def test_the_call_of_a_killed_process_is_charged_at_its_reservation(tmp_path: Path) -> None:
    first = b'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'

    async def main() -> None:
        async with ModelEndpoint() as endpoint, shard(tmp_path / "h", driver(endpoint)) as opened:
            endpoint.faults.append(Fault(body=first * 2, hold_after_bytes=len(first)))
            pid = spawn(opened, stream=True)
            process = opened.kernel.table.require(pid)
            await endpoint.wait_calls(1)
            opened.kernel.operator.signal(pid, 9, uid=0)
            await opened.kernel.operator.wait_ended(pid)
            assert process.usage.prompt_tokens > 0
            assert process.usage.completion_tokens == limits.MODEL_MAX_TOKENS

    asyncio.run(main())
