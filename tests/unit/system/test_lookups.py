"""A program that was looked up is taken from what is kept, and never as it no longer is."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prytany.abi.errors import Einval, Enoent
from prytany.abi.limits import PROGRAM_BYTES_MAX
from prytany.abi.program import unpack_program
from prytany.system import looks, lookups
from prytany.system.lookups import Programs
from prytany.system.programs import read_program

TEXT = "import helper\nasync def main(proc): return 1\nasync def other(proc): ...\n"
DAY_NS = 86_400_000_000_000


def at(place: Path, after_ns: int) -> Callable[[], int]:
    """A clock that stands, so long after the file and its folder were changed."""
    changed_ns = max(p.stat().st_ctime_ns for p in (place, *place.parent.iterdir(), place.parent))
    return lambda: changed_ns + after_ns


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("WORD = 'one'\n")
    path = tmp_path / "main.py"
    path.write_text(TEXT)
    return path


def main_of(programs: Programs, place: Path) -> bytes:
    return unpack_program(programs.find(f"{place}:main", "").source).main


def test_what_has_not_changed_is_not_read_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = Programs(at(place, DAY_NS))
    assert programs.known(f"{place}:main", "") is None
    found = programs.find(f"{place}:main", "")
    for name in ("open", "listdir"):
        monkeypatch.setattr(os, name, lambda *_, **__: pytest.fail("it was read"))
    assert programs.find(f"{place}:main", "") is found
    assert programs.known(":main", f"{place}:other") is found
    other = programs.known(":other", found.program)
    assert other is not None
    assert other.source is found.source
    with pytest.raises(Enoent):
        programs.known(":nobody", found.program)


@pytest.mark.parametrize("after_ns", [0, DAY_NS], ids=["in the same tick", "long after"])
def test_an_edit_is_seen_by_the_next_spawn_whatever_it_looks_like(place: Path, after_ns: int) -> None:
    programs = Programs(at(place, after_ns))
    before = place.stat()
    assert main_of(programs, place) == TEXT.encode()
    place.write_text(TEXT.replace("return 1", "return 2"))
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert programs.known(f"{place}:main", "") is None
    assert b"return 2" in main_of(programs, place)


def test_a_stamp_that_says_nothing_is_not_believed_while_the_change_is_fresh(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = looks.stamp_of(place.stat())
    monkeypatch.setattr(looks, "stamp_of", lambda found: same)  # as if all happened within one tick
    fresh, settled = Programs(lambda: same[0]), Programs(lambda: same[0] + DAY_NS)
    for programs in (fresh, settled):
        assert main_of(programs, place) == TEXT.encode()
    place.write_text(TEXT.replace("return 1", "return 2"))
    assert fresh.known(f"{place}:main", "") is None
    assert settled.known(f"{place}:main", "") is not None, "the stamp alone is looked at then"
    (place.parent / "helper.py").write_text("WORD = 'two'\n")
    assert b"return 2" in main_of(fresh, place)
    assert b"two" in fresh.find(f"{place}:main", "").source


@pytest.mark.parametrize("after_ns", [0, DAY_NS])
def test_a_module_beside_it_counts_as_much(place: Path, after_ns: int) -> None:
    programs = Programs(at(place, after_ns))
    helper = place.parent / "helper.py"

    def words() -> list[bytes]:
        return [module.text for module in unpack_program(programs.find(f"{place}:main", "").source).modules]

    assert words() == [b"WORD = 'one'\n"]
    helper.write_text("WORD = 'two'\n")
    assert words() == [b"WORD = 'two'\n"]
    helper.unlink()
    assert words() == []
    (place.parent / "helper").mkdir()
    (place.parent / "helper" / "__init__.py").write_text("WORD = 'three'\n")
    assert words() == [b"WORD = 'three'\n"]
    (place.parent / "helper" / "__init__.py").write_text("WORD = 'four'\n")
    assert words() == [b"WORD = 'four'\n"]


def test_a_file_that_is_gone_is_not_known_and_one_that_cannot_all_be_read_is_not_kept(place: Path) -> None:
    programs = Programs(at(place, DAY_NS))
    programs.find(f"{place}:main", "")
    (place.parent / "helper.py").unlink()
    (place.parent / "helper.py").symlink_to(place.parent / "nowhere")
    programs.find(f"{place}:main", "")
    assert programs.known(f"{place}:main", "") is None
    place.unlink()
    assert programs.known(f"{place}:main", "") is None
    with pytest.raises(Enoent):
        programs.find(f"{place}:main", "")


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "PROGRAMS_KEPT", 3)
    places = [tmp_path / f"p{number}.py" for number in range(5)]
    for one in places:
        one.write_text("async def main(proc): ...\n")
    programs = Programs(at(places[0], DAY_NS))
    for one in places:
        programs.find(f"{one}:main", "")
        programs.find(f"{places[0]}:main", "")
    known = [programs.known(f"{one}:main", "") is not None for one in places]
    assert known == [True, False, False, True, True]
    monkeypatch.setattr(lookups, "BYTES_KEPT", 1)
    programs.find(f"{places[1]}:main", "")
    assert not any(programs.known(f"{one}:main", "") for one in places)


def test_what_is_no_regular_file_is_refused_unopened_and_what_is_huge_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "to_fifo").symlink_to(tmp_path / "fifo")
    programs = Programs(lambda: 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", lambda *_, **__: pytest.fail("it was opened"))
        for name in ("/dev/zero", "/dev/tty", f"{tmp_path}/fifo", f"{tmp_path}/to_fifo", str(tmp_path)):
            with pytest.raises(Enoent):
                programs.find(f"{name}:main", "")
        for name in (f"{tmp_path}/loop", f"{tmp_path}/none", f"{tmp_path}/none/none", "/" + "n" * 5_000):
            with pytest.raises(Enoent):
                programs.find(f"{name}:main", "")
        with pytest.raises(Einval):
            programs.find(f"{tmp_path}/a\0b:main", "")
    with open(tmp_path / "huge.py", "wb") as file:
        file.write(b"async def main(proc): ...\n")
        file.truncate(100 << 20)
    (tmp_path / "large.py").write_bytes(b"#" * (PROGRAM_BYTES_MAX + 1))
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    for name in ("huge", "large"):
        with pytest.raises(Einval):
            programs.find(f"{tmp_path}/{name}.py:main", "")


def test_the_loop_goes_on_while_a_program_is_read_and_it_is_read_once_for_all(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, began, go_on = read_program, threading.Event(), threading.Event()
    reads: list[str] = []

    def slow(path: str, name: str, recorded: bytes, made: looks.Looks) -> object:
        reads.append(name)
        began.set()
        assert go_on.wait(10)
        return read(path, name, recorded, made)

    monkeypatch.setattr(lookups, "read_program", slow)

    async def body() -> None:
        programs = Programs(at(place, DAY_NS))
        async with asyncio.TaskGroup() as group:
            first = group.create_task(programs.look_up(f"{place}:main", ""))
            second = group.create_task(programs.look_up(f"{place}:other", ""))
            assert await asyncio.to_thread(began.wait, 10)  # so the loop turns while the file is read
            assert not first.done()
            go_on.set()
        assert first.result().source is second.result().source
        assert reads == ["main"]
        with pytest.raises(Enoent):
            await programs.look_up(f"{place}:nobody", "")

    asyncio.run(body())
