"""Generations that are put aside and gone on with, against a llama.cpp of letters, and once against the real one."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import stat
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random  # noqa: TID251 seeded
from typing import Any, TypeVar

import msgspec
import pytest

from prytany.drivers.models import local, local_turn
from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.local_turn import LocalAside
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, ToolSpec
from prytany.ports.turns import Aside, Turn, takes_turns
from tests.unit.drivers.models.test_local import needs_model, weights

T = TypeVar("T")
FAKE = Path(__file__).with_name("fake_llama.py")
ASKED = ModelRequest([{"role": "user", "content": "Say letters. " * 40}], max_tokens=12, temperature=0.0, seed=1)
Between = Callable[[LocalModel, LocalAside], Awaitable[object]]


class Fake:
    """The folder that the fake works in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "bell")
        self.bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK)

    def fault(self, name: str, text: str = "") -> None:
        """It is wrong from now on, or hangs."""
        if name.endswith("-hangs"):
            os.mkfifo(self.folder / name)
        else:
            (self.folder / name).write_text(text)

    def mend(self, name: str) -> None:
        """It is right again."""
        lets_go = os.open(self.folder / name, os.O_RDWR)
        (self.folder / name).unlink()
        os.close(lets_go)

    def log(self, key: str) -> list[dict[str, Any]]:
        """The requests that have this."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [said for line in lines if key in (said := json.loads(line))]

    async def has(self, key: str, count: int = 1) -> None:
        """Return when so many requests of that kind have come."""
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.bell, rung.set)
        while len(self.log(key)) < count:
            await rung.wait()
            rung.clear()
            with suppress(BlockingIOError):
                os.read(self.bell, 1 << 16)
        loop.remove_reader(self.bell)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setattr(local, "PROGRAM", FAKE)
    monkeypatch.setattr(local, "ENVIRONMENT", {"FAKE_LLAMA": str(folder)})
    made = Fake(folder)
    yield made
    os.close(made.bell)


def with_model(
    main: Callable[[LocalModel], Coroutine[Any, Any, T]], tmp_path: Path, *, slots: int = 2, **options: Any
) -> T:  # fmt: skip
    async def run() -> T:
        model = LocalModel(tmp_path / "x.gguf", slots=slots, saves=tmp_path, **options)
        try:
            return await asyncio.wait_for(main(model), 60)
        finally:
            await model.close()

    return asyncio.run(run())


async def one_turn(
    model: LocalModel, request: ModelRequest, turn: Turn, pieces: list[str] | None = None
) -> ModelAnswer | LocalAside:  # fmt: skip
    async with aclosing(model.turn(request, turn)) as items:
        async for item in items:
            if isinstance(item, str):
                (pieces if pieces is not None else []).append(item)
            else:
                assert isinstance(item, ModelAnswer | LocalAside)
                last = item
    return last


async def in_turns(
    model: LocalModel, request: ModelRequest, quantum: int, between: Between | None = None
) -> tuple[ModelAnswer, list[str], int]:  # fmt: skip
    """The answer, its pieces, and how often it was put aside."""
    aside: LocalAside | None = None
    pieces: list[str] = []
    count = 0
    while True:
        came = await one_turn(model, request, Turn(aside, lambda tokens: tokens >= quantum), pieces)
        if isinstance(came, ModelAnswer):
            return came, pieces, count
        aside, count = came, count + 1
        assert aside.text == "".join(pieces)
        if between is not None:
            await between(model, aside)


async def put_aside(model: LocalModel, tokens: int = 5, request: ModelRequest = ASKED) -> LocalAside:
    came = await one_turn(model, request, Turn(is_up=lambda count: count >= tokens))
    assert isinstance(came, LocalAside)
    return came


async def others(model: LocalModel, _: object = None) -> None:
    """Somebody else has had every slot since."""
    asked = [
        ModelRequest([{"role": "user", "content": f"{number}"}], max_tokens=1, temperature=0.0, tenant=9)
        for number in range(model.features.slots)
    ]
    await asyncio.gather(*map(model.chat, asked))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("prytany-slots-*/saved/*"))


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


async def lose(model: LocalModel, aside: LocalAside) -> None:
    await others(model)
    aside.drop()


async def vanish(model: LocalModel, aside: LocalAside) -> None:
    await others(model)
    for path in kept(Path(str(model._saves._parent))):
        path.unlink()


async def spoil(model: LocalModel, aside: LocalAside) -> None:
    await others(model)
    for path in kept(Path(str(model._saves._parent))):
        spoiled = bytearray(path.read_bytes())
        spoiled[-9] ^= 1
        path.write_bytes(spoiled)


async def cut(model: LocalModel, aside: LocalAside) -> None:
    await others(model)
    for path in kept(Path(str(model._saves._parent))):
        os.truncate(path, 100)


async def folder_goes(model: LocalModel, aside: LocalAside) -> None:
    await others(model)
    for path in kept(Path(str(model._saves._parent))):
        path.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize("between", [lose, vanish, spoil, cut, folder_goes])
def test_a_file_that_is_lost_or_spoiled_costs_time_and_no_answer(fake: Fake, tmp_path: Path, between: Between) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer, ModelAnswer, int]:
        whole = await model.chat(ASKED)
        return whole, (await in_turns(model, ASKED, 5, between))[0], model.counts.recomputed

    whole, answer, recomputed = with_model(main, tmp_path)
    assert answer == whole
    assert recomputed == 2
    assert [said for said in fake.log("action") if said["action"] == "restore"] == []


@pytest.mark.parametrize("fault", ["disk-full", "cut-unseen", "save-hangs", "restore-hangs"])
def test_a_disk_that_is_full_or_stands_still_costs_time_and_no_answer(
    fake: Fake, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer, ModelAnswer, int]:
        whole = await model.chat(ASKED)
        if "hangs" in fault:
            monkeypatch.setattr(local_turn, "SAVE_MS", 20)
        fake.fault(fault)
        answer, _, _ = await in_turns(model, ASKED, 5, others)
        return whole, answer, model.counts.restored

    whole, answer, restored = with_model(main, tmp_path)
    assert answer == whole
    assert restored == 0
    assert kept(tmp_path) == []


def test_a_process_that_dies_meanwhile_is_gone_on_without(fake: Fake, tmp_path: Path) -> None:
    async def kill(model: LocalModel, aside: LocalAside) -> None:
        process = model._process
        assert process is not None
        process.kill()
        await process.wait()

    async def main(model: LocalModel) -> tuple[ModelAnswer, ModelAnswer, int]:
        return await model.chat(ASKED), (await in_turns(model, ASKED, 5, kill))[0], model.counts.restored

    whole, answer, restored = with_model(main, tmp_path)
    assert answer == whole
    assert restored == 2
    assert len(fake.log("started")) == 3


def test_what_fells_the_process_is_not_restored_again(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer, ModelFailure, ModelAnswer | LocalAside]:
        whole = await model.chat(ASKED)
        aside = await put_aside(model)
        await others(model)
        fake.fault("restore-dies")
        with pytest.raises(ModelFailure) as caught:
            await one_turn(model, ASKED, Turn(aside))
        return whole, caught.value, await one_turn(model, ASKED, Turn(aside))

    whole, error, answer = with_model(main, tmp_path)
    assert (error.kind, error.retryable) == ("crashed", True)
    assert answer == whole
    assert kept(tmp_path) == []


def test_a_death_in_a_later_turn_is_a_crash_and_the_turn_can_be_made_again(fake: Fake, tmp_path: Path) -> None:
    async def main(model: LocalModel) -> tuple[ModelAnswer, str, ModelAnswer | LocalAside]:
        whole = await model.chat(ASKED)
        aside = await put_aside(model)
        fake.fault("dies-at", "3")
        with pytest.raises(ModelFailure) as caught:
            await one_turn(model, ASKED, Turn(aside))
        fake.mend("dies-at")
        return whole, caught.value.kind, await one_turn(model, ASKED, Turn(aside))

    whole, kind, answer = with_model(main, tmp_path)
    assert kind == "crashed"
    assert answer == whole


@pytest.mark.parametrize("fault", ["save-hangs", "restore-hangs", "prompt-hangs"])
def test_a_turn_that_is_cancelled_frees_its_slot_and_leaves_no_file(fake: Fake, tmp_path: Path, fault: str) -> None:
    began = "asked" if fault == "prompt-hangs" else "begins"

    async def main(model: LocalModel) -> list[Path]:
        aside = await put_aside(model) if fault == "restore-hangs" else None
        await others(model)
        begun = len(fake.log(began))
        fake.fault(fault)
        turning = asyncio.ensure_future(one_turn(model, ASKED, Turn(aside, lambda count: count >= 3)))
        await fake.has(began, begun + 1)
        turning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turning
        del aside, turning
        fake.mend(fault)
        await asyncio.gather(*(model.chat(ASKED) for _ in range(4)))
        aside = await put_aside(model)  # a new file: what came late of the other goes
        gc.collect()
        assert aside.saved is not None
        return [path for path in kept(tmp_path) if path.name != aside.saved.name]

    assert with_model(main, tmp_path) == []


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


def test_messages_that_are_no_json_are_refused_before_a_slot_is_taken(fake: Fake, tmp_path: Path) -> None:
    endless: dict[str, Any] = {"role": "user"}
    endless["content"] = endless

    async def main(model: LocalModel) -> list[str]:
        kinds: list[str] = []
        for messages in ([endless], [{"role": "user", "content": object()}]):
            with pytest.raises(ModelFailure) as caught:
                await model.chat(msgspec.structs.replace(ASKED, messages=messages))
            kinds.append(caught.value.kind)
        await model.chat(ASKED)
        return kinds

    assert with_model(main, tmp_path, slots=1) == ["bad_request"] * 2


@needs_model
def test_the_real_model_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    asked = msgspec.structs.replace(
        ASKED, messages=[{"role": "user", "content": "Tell of the sea 🌊, in é, ü and 漢."}], max_tokens=24
    )
    cities = {"type": "array", "items": {"enum": ["Paris", "Rome"]}, "minItems": 3, "maxItems": 3}
    form = {"type": "object", "properties": {"cities": cities}, "required": ["cities"]}
    bound = msgspec.structs.replace(asked, schema=form, max_tokens=60)

    async def main() -> None:
        model = LocalModel(weights(), saves=tmp_path)
        try:
            whole = await model.chat(asked)
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
