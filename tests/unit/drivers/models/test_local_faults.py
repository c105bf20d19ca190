"""What goes wrong while a generation is put aside: it costs time, and no answer."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.drivers.models import local_turn
from prytany.drivers.models.local import LocalModel
from prytany.drivers.models.local_turn import LocalAside
from prytany.ports.model import ModelAnswer, ModelFailure
from prytany.ports.turns import Turn
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
