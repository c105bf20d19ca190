"""Which slot a call gets, and what becomes of saved slots."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from prytany.drivers.models.local_saves import PREFIX, Saved, Saves
from prytany.drivers.models.local_slots import BLOCK_BYTES, Slot, Slots, digests_of
from prytany.drivers.models.local_turn import begun_answer
from prytany.ports.turns import Turn


def said(*texts: str) -> list[bytes]:
    return digests_of([{"role": "user", "content": text} for text in texts])


async def had(slots: Slots, tenant: int, prompt: list[bytes], mark: object = None) -> Slot:
    slot = await slots.take(tenant, prompt, mark)
    slots.give_back(slot)
    return slot


def test_prompts_agree_in_as_many_blocks_as_their_beginnings_do() -> None:
    beginning = "b" * 4 * BLOCK_BYTES
    one, other = said(beginning, "one"), said(beginning, "other" * BLOCK_BYTES)
    agreed = [mine == theirs for mine, theirs in zip(one, other, strict=False)]
    assert agreed[:4] == [True] * 4
    assert len(set(other)) == len(other)
    assert said("short") == []
    assert said("x" + beginning)[0] != one[0]


def test_a_slot_is_given_by_what_it_holds_then_by_age() -> None:
    a, b, c = (said(letter * 3_000) for letter in "abc")

    async def main() -> list[tuple[int, bool]]:
        slots = Slots(3)
        asked = [(0, a), (0, b), (0, c), (0, a), (1, a), (0, b), (1, a), (0, a)]
        return [(slot.number, slot.keeps) for one in asked for slot in [await had(slots, *one)]]

    # Tenant 1 gets what was idle longest, and then what it had itself; slots keep nothing for another tenant.
    numbers, keeps = zip(*asyncio.run(main()), strict=True)
    assert numbers == (0, 1, 2, 0, 1, 2, 1, 0)
    assert keeps == (False, False, False, True, False, True, True, True)


def test_a_short_beginning_in_common_takes_no_long_conversation_away() -> None:
    beginning = "b" * BLOCK_BYTES
    long, short = said(beginning, "l" * 20 * BLOCK_BYTES), said(beginning, "s" * BLOCK_BYTES)

    async def main() -> list[int]:
        slots = Slots(2)
        return [(await had(slots, 0, prompt)).number for prompt in (long, short, long, said(beginning, "t"))]

    assert asyncio.run(main()) == [0, 1, 0, 1]


def test_what_was_put_aside_finds_its_slot_until_another_has_had_it() -> None:
    mark = object()

    async def main() -> list[bool]:
        slots = Slots(1)
        (await had(slots, 0, [])).mark = mark
        first = (await had(slots, 0, [], mark)).mark is mark
        await had(slots, 0, [])
        return [first, (await had(slots, 0, [], mark)).mark is mark]

    assert asyncio.run(main()) == [True, False]


def test_slots_of_a_new_process_hold_nothing() -> None:
    prompt = said("a" * 3_000)

    async def main() -> tuple[bool, bool, int]:
        slots = Slots(2)
        taken = await slots.take(0, prompt)
        await had(slots, 0, prompt)
        slots.forget()
        other = await slots.take(0, prompt)
        return taken.keeps, other.keeps, other.shares(0, prompt) - len(prompt)

    assert asyncio.run(main()) == (False, False, 0)


def test_a_cancelled_wait_for_a_slot_takes_none() -> None:
    async def main() -> int:
        slots = Slots(1)
        slot = await slots.take(0, [])
        waiting = asyncio.ensure_future(slots.take(0, []))
        await asyncio.wait({waiting}, timeout=0)
        waiting.cancel()
        slots.give_back(slot)
        return (await slots.take(0, [])).number

    assert asyncio.run(asyncio.wait_for(main(), 5)) == 0


def write(folder: Path, name: str, tokens: list[int], size: int = 100) -> int:
    words = [-1, 1, len(tokens), *tokens, 0]
    data = struct.pack(f"<III{len(words)}i", 0x67677371, 4, len(words), *words).ljust(size, b"x")
    (folder / name).write_bytes(data)
    return len(data)


def test_a_saved_slot_says_its_tokens_and_whether_it_is_whole(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    folder = saves.open()
    name = saves.name(3)
    saved = saves.read(name, write(folder, name, [5, 6, 7]))
    path = folder / name
    assert saved.tokens == (5, 6, 7)
    assert saves.is_whole(saved)
    data = path.read_bytes()
    for spoiled in (data[:-1], data + b"x", data[:-1] + b"y", b"", bytes(len(data)), b"\xff" * len(data)):
        path.write_bytes(spoiled)
        assert not saves.is_whole(saved)
    for head in (b"qsgg" + b"\xff" * 8, b"qsgg" + struct.pack("<II", 4, 0), b"qsgg" + struct.pack("<II", 4, 2)):
        path.write_bytes(head.ljust(100, b"\x01"))
        with pytest.raises(ValueError, match=r"slot|form"):
            saves.read(name, 100)
    path.unlink()
    assert not saves.is_whole(saved)
    saves.close()


def test_the_least_recently_used_goes_first_and_none_is_larger_than_the_bound(tmp_path: Path) -> None:
    saves = Saves(tmp_path, bytes_max=300)
    folder = saves.open()
    kept = [saves.read(name, write(folder, name, [1])) for name in (saves.name(0) for _ in range(3))]
    assert all(map(saves.keep, kept))
    assert saves.used(kept[0].name)
    name = saves.name(0)
    assert saves.keep(saves.read(name, write(folder, name, [1])))
    assert [saves.used(one.name) for one in kept] == [True, False, True]
    name = saves.name(0)
    assert not saves.keep(saves.read(name, write(folder, name, [1], 301)))
    assert len(list(folder.iterdir())) == 3
    assert saves.total == 300
    saves.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_late_goes_at_the_next(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    folder = saves.open()
    for goes_on in (lambda: saves.name(0), saves.open):
        name = saves.name(0)
        saves.doubt(name)
        write(folder, name, [1])
        assert goes_on()
        assert list(folder.iterdir()) == []
    saves.close()


def test_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    living, dead, link = tmp_path / f"{PREFIX}living", tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}link"
    other = tmp_path / "other"
    for folder in (living, dead, other):
        folder.mkdir()
        (folder / "file").write_text("")
    link.symlink_to(other)
    held = os.open(living, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    saves = Saves(tmp_path)
    saves.open()
    os.close(held)
    assert (living / "file").exists()
    assert not dead.exists()
    assert (other / "file").exists()
    saves.close()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Saves(tmp_path / "none").open()


def test_dropping_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    saves = Saves(tmp_path)
    saves.drop("x")
    saves.doubt("y")
    assert not saves.is_whole(Saved("x", 1, 1, ()))
    saves.close()
    saves.close()


def test_a_begun_answer_is_the_last_message() -> None:
    asked: list[dict[str, Any]] = [{"role": "user", "content": "?"}]
    assert begun_answer(asked, "Yes")[-1] == {"role": "assistant", "content": "Yes"}
    assert begun_answer([*asked, {"role": "assistant", "content": "{"}], '"a"')[1:] == [
        {"role": "assistant", "content": '{"a"'}
    ]
    assert begun_answer([], "Yes") == [{"role": "assistant", "content": "Yes"}]


def test_a_turn_is_told_once_that_it_is_up() -> None:
    asked: list[int] = []
    told: list[str] = []

    def is_up(tokens: int) -> bool:
        asked.append(tokens)
        return tokens >= 2

    turn = Turn(is_up=is_up)
    turn.tell(lambda: told.append("told"))
    for tokens in (1, 2, 3):
        turn.generated(tokens)
    assert (asked, told, turn.tokens, turn.gives_way) == ([1, 2], ["told"], 3, True)
    late: list[str] = []
    turn.tell(lambda: late.append("told"))
    assert late == ["told"]
