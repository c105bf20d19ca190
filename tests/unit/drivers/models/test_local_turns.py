"""Generations that are put aside and gone on with, against a llama.cpp of letters, and once against the real one."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import stat
from pathlib import Path
from random import Random  # noqa: TID251 seeded
from typing import Any

import msgspec
import pytest

from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.local_turn import LocalAside
from prytany.ports.model import ModelAnswer, ModelRequest, ToolSpec
from prytany.ports.turns import Aside, Turn, takes_turns
from tests.unit.drivers.models.test_local import needs_model, weights
from tests.unit.drivers.models.turning import (
    ASKED,
    Between,
    Fake,
    in_turns,
    kept,
    one_turn,
    others,
    put_aside,
    with_model,
)


@pytest.mark.parametrize("quantum", [1, 2, 5])
@pytest.mark.parametrize("between", [None, others])
def test_what_is_put_aside_again_and_again_ends_as_if_nothing_had_happened(
    fake: Fake, tmp_path: Path, quantum: int, between: Between | None
) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer, ModelAnswer, list[str], int]:
        return await model.chat(ASKED), *(await in_turns(model, ASKED, quantum, between))

    whole, answer, pieces, count = with_model(main, tmp_path)
    assert answer == whole
    assert "".join(pieces) == whole.text
    assert count == (ASKED.max_tokens - 1) // quantum
    assert answer.usage.completion_tokens == ASKED.max_tokens
    goings_on = [said for said in fake.log("asked") if "prompt" in said["asked"]]
    assert len(goings_on) == count
    assert all(said["cached"] == said["prompt"] - 1 for said in goings_on)


def test_an_answer_that_a_schema_binds_goes_on_from_its_text(fake: Fake, tmp_path: Path) -> None:
    tools = [ToolSpec("t", "", {"type": "object"})]
    for asked in (
        msgspec.structs.replace(ASKED, schema={"type": "object"}),
        msgspec.structs.replace(ASKED, messages=[*ASKED.messages, {"role": "assistant", "content": "{"}], schema={}),
        msgspec.structs.replace(ASKED, tools=tools, max_tokens=8),
    ):

        async def main(model: LocalModel, asked: ModelRequest = asked) -> tuple[list[Any], list[Any]]:
            came: list[list[Any]] = [[], []]
            for goings_on, quantum in enumerate((99, 3)):
                aside: Aside | None = None
                while not came[goings_on]:
                    turn = Turn(aside, lambda count, quantum=quantum: count >= quantum)  # type: ignore[misc]
                    items = model.turn(asked, turn)
                    try:
                        async for item in items:
                            if isinstance(item, Aside):
                                aside = item
                                await others(model)
                            elif isinstance(item, ModelAnswer):
                                came[goings_on] = [item.text, item.finish, item.usage]
                    finally:
                        await items.aclose()
            return came[0], came[1]

        whole, turns = with_model(main, tmp_path)
        assert turns == whole
    assert all(said["cached"] >= said["prompt"] - 2 for said in fake.log("asked") if said["asked"].get("schema"))


def test_whoever_waits_for_a_slot_gives_way_at_once_and_nine_calls_have_eight(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> tuple[list[ModelAnswer], ModelAnswer | LocalAside, ModelAnswer | LocalAside]:
        fake.fault("prompt-hangs")
        calls = [asyncio.ensure_future(model.chat(ASKED)) for _ in range(8)]
        await fake.has("asked", 8)
        turn = Turn()
        ninth = asyncio.ensure_future(one_turn(model, ASKED, turn))
        while turn._told is None:  # noqa: ASYNC110 - the driver hears of it in this loop
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        turn.give_way()
        aside = await ninth
        assert isinstance(aside, LocalAside)
        assert not any(call.done() for call in calls)
        tenth = asyncio.ensure_future(one_turn(model, ASKED, Turn(aside)))
        fake.mend("prompt-hangs")
        return [*(await asyncio.gather(*calls))], aside, await tenth

    answers, aside, tenth = with_model(main, tmp_path, slots=8)
    assert (aside.text, aside.usage.prompt_tokens) == ("", 0)
    assert all(answer == tenth for answer in answers)


def test_a_prompt_that_is_being_read_gives_way_and_is_read_on(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer | LocalAside, ModelAnswer | LocalAside, ModelAnswer]:
        fake.fault("prompt-hangs")
        turn = Turn()
        turning = asyncio.ensure_future(one_turn(model, ASKED, turn))
        await fake.has("asked")
        turn.give_way()
        await fake.has("begins")
        fake.mend("prompt-hangs")
        aside = await turning
        assert isinstance(aside, LocalAside)
        return aside, await one_turn(model, ASKED, Turn(aside)), await model.chat(ASKED)

    aside, answer, whole = with_model(main, tmp_path)
    assert aside.text == ""
    assert answer == whole


def test_a_turn_that_was_to_end_before_it_began_ends(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> ModelAnswer | LocalAside:
        turn = Turn()
        turn.give_way()
        return await one_turn(model, ASKED, turn)

    assert isinstance(with_model(main, tmp_path), LocalAside)


def test_slots_and_files_are_kept_apart_by_tenant(fake: Fake, tmp_path: Path) -> None:
    theirs = msgspec.structs.replace(ASKED, tenant=2)

    async def main(model: LocalModel) -> list[str]:
        await model.chat(ASKED)
        await model.chat(theirs)
        await model.chat(ASKED)
        aside = await put_aside(model)
        names = [path.name for path in kept(tmp_path)]
        went = await one_turn(model, theirs, Turn(aside))
        assert isinstance(went, ModelAnswer)
        assert went.text.startswith(aside.text)
        return names

    (name,) = with_model(main, tmp_path, slots=1)
    assert name.startswith("tenant-0-")
    assert [said["cached"] > 0 for said in fake.log("asked")] == [False, False, False, True, False]
    assert [said["action"] for said in fake.log("action")] == ["save"]


def test_a_call_goes_to_the_slot_that_holds_its_prefix(fake: Fake, tmp_path: Path) -> None:
    def asks(first: str, tenant: int = 0) -> ModelRequest:
        return ModelRequest([{"role": "user", "content": first * 2_000}], max_tokens=1, tenant=tenant)

    async def main(model: LocalModel) -> int:
        for letter in "abcab":
            await model.chat(asks(letter))
        await model.chat(asks("b", tenant=1))
        return model.counts.hits

    assert with_model(main, tmp_path, slots=3) == 2
    assert [said["asked"]["id_slot"] for said in fake.log("asked")] == [0, 1, 2, 0, 1, 2]


def test_files_are_private_and_bounded_and_the_folder_goes_with_the_driver(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> None:
        asides = [await put_aside(model) for _ in range(4)]
        folders = [kept(tmp_path)[0].parent, kept(tmp_path)[0].parent.parent]
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 2
        assert [stat.S_IMODE(path.stat().st_mode) for path in kept(tmp_path)] == [0o600] * 2
        assert {aside.saved.name for aside in asides[2:] if aside.saved} == {path.name for path in kept(tmp_path)}
        await others(model)
        assert [isinstance(await one_turn(model, ASKED, Turn(aside)), ModelAnswer) for aside in asides] == [True] * 4
        assert (model.counts.restored, model.counts.recomputed) == (2, 2)
        assert kept(tmp_path) == []

    with_model(main, tmp_path, saved_bytes_max=7_000)
    assert list(tmp_path.glob("prytany-slots-*")) == []


def test_a_file_goes_with_what_was_put_aside(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> list[int]:
        first, second = await put_aside(model), await put_aside(model)
        counts = [len(kept(tmp_path))]
        first.drop()
        first.drop()
        counts.append(len(kept(tmp_path)))
        del second
        gc.collect()
        return [*counts, len(kept(tmp_path))]

    assert with_model(main, tmp_path) == [2, 1, 0]


def test_what_is_drawn_by_chance_is_drawn_anew_after_a_turn(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> None:
        await in_turns(model, msgspec.structs.replace(ASKED, temperature=0.7), 5)

    with_model(main, tmp_path)
    assert [said["asked"]["seed"] for said in fake.log("asked")] == [1, 6, 11]


def test_a_driver_that_saves_nothing_takes_no_turns(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> tuple[bool, str]:
        return takes_turns(model), (await model.chat(ASKED)).text

    turns, text = with_model(main, tmp_path, saved_bytes_max=0)
    assert not turns
    assert text
    assert list(tmp_path.glob("prytany-slots-*")) == []


@pytest.mark.parametrize("seed", range(3))
def test_whatever_order_turns_come_in_every_answer_is_its_own(fake: Fake, tmp_path: Path, seed: int) -> None:
    chance = Random(seed)

    def asked(agent: int) -> ModelRequest:
        content = f"{agent % 4} " * 200 + str(agent)
        return msgspec.structs.replace(ASKED, messages=[{"role": "user", "content": content}], tenant=agent % 3)

    async def agent(model: LocalModel, request: ModelRequest) -> ModelAnswer:
        aside: LocalAside | None = None
        while True:
            quantum = chance.randint(1, 6)
            turn = Turn(aside, lambda tokens, quantum=quantum: tokens >= quantum)  # type: ignore[misc]
            turning = asyncio.ensure_future(one_turn(model, request, turn))
            if chance.random() < 0.2:
                await asyncio.wait({turning}, timeout=0)
                turn.give_way()
            elif chance.random() < 0.1:
                await asyncio.wait({turning}, timeout=0)
                turning.cancel()
            try:
                came = await turning
            except asyncio.CancelledError:
                continue
            if isinstance(came, ModelAnswer):
                return came
            aside = came

    async def main(model: LocalModel) -> tuple[list[ModelAnswer], list[ModelAnswer], set[int]]:
        requests = [asked(number) for number in range(9)]
        alone = [await model.chat(request) for request in requests]
        mixed = await asyncio.gather(*(agent(model, request) for request in requests))
        slots = [await model._slots.take(0, []) for _ in range(3)]
        return alone, list(mixed), {slot.number for slot in slots}

    alone, mixed, slots = with_model(main, tmp_path, slots=3, saved_bytes_max=40_000)
    assert mixed == alone, seed
    assert slots == {0, 1, 2}
    had: dict[int, int] = {}
    for said in fake.log("asked"):
        slot, tenant = said["asked"]["id_slot"], tenant_of(said["asked"])
        assert said["cached"] == 0 or had.get(slot) == tenant or "prompt" in said["asked"]
        had[slot] = tenant
    for said in fake.log("name"):
        assert said["name"].startswith(("tenant-0-", "tenant-1-", "tenant-2-"))


def tenant_of(asked: dict[str, Any]) -> int:
    """Whose call it was, by the last number of its question."""
    said = asked["messages"][0]["content"] if "messages" in asked else "".join(map(chr, asked["prompt"]))
    return int(said.partition("<assistant>")[0].split()[-1]) % 3


@needs_model
def test_the_real_model_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    asked = msgspec.structs.replace(
        ASKED, messages=[{"role": "user", "content": "Tell of the sea 🌊, in é, ü and 漢."}], max_tokens=24
    )
    cities = {"type": "array", "items": {"enum": ["Paris", "Rome"]}, "minItems": 3, "maxItems": 3}
    form = {"type": "object", "properties": {"cities": cities}, "required": ["cities"]}
    bound = msgspec.structs.replace(asked, schema=form, max_tokens=120)

    async def main() -> None:
        model = LocalModel(weights(), saves=tmp_path)
        try:
            await others(model)  # both begin in slots of others: what is computed at once is rounded alike
            whole = await model.chat(asked)
            await others(model)
            answer, pieces, count = await in_turns(model, asked, 9, others)
            assert answer == whole
            assert "".join(pieces) == whole.text
            assert count == 2
            cached = model.counts.cached_tokens
            await model.chat(msgspec.structs.replace(asked, max_tokens=1, tenant=5))
            assert model.counts.cached_tokens == cached
            formed, pieces, _ = await in_turns(model, bound, 12, others)
            assert "".join(pieces) == formed.text
            assert isinstance(json.loads(formed.text), dict)
            assert model.counts.restored == model.counts.put_aside
            process = model._process
            assert process is not None
            aside = await put_aside(model, 5, asked)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            assert isinstance(await one_turn(model, asked, Turn(aside)), ModelAnswer)
            assert model.counts.recomputed == 0
        finally:
            await model.close()

    asyncio.run(asyncio.wait_for(main(), 240))
    assert list(tmp_path.iterdir()) == []
