"""Content of an ended process is destroyed on command: it is in no file any more, and verify tells it from a loss."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import KernelError
from prytany.cli.forget import forget_process
from prytany.cli.journal import verify_home
from prytany.system.logs import Logs
from tests.surfaces import homes

SECRET, LIVING = "a secret of the first process", "what both were told"


def holding(home: Path, text: str) -> list[str]:
    """The files of the home in which `text` can be found."""
    return [path.name for path in sorted(home.rglob("*")) if path.is_file() and text.encode() in path.read_bytes()]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """1 has ended; 2 has not, and was told what 3, which has ended, was told as well."""

    async def run() -> None:
        shard = await homes.open_home(tmp_path / "home")
        first = homes.spawn(shard, tmp_path / "home", "says", SECRET, 400, "end")
        await shard.kernel.operator.wait_ended(first)
        homes.spawn(shard, tmp_path / "home", "says", LIVING, 400, "wait")
        third = homes.spawn(shard, tmp_path / "home", "says", LIVING, 400, "end")
        await shard.kernel.operator.wait_ended(third)
        await shard.close()

    asyncio.run(run())
    Logs(tmp_path / "home").append(1, SECRET.encode())
    return tmp_path / "home"


def verified(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    status = verify_home(home, "", as_json=True)
    said: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return status, said


def test_content_small_and_large_is_in_no_file_any_more(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert holding(home, SECRET) == ["journal.db", "1.log"]
    forget_process(home, "1", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["contents"] > 3
    assert said["freed_bytes"] > 400 * len(SECRET)
    assert said["log"] is True
    assert holding(home, SECRET) == []
    status, report = verified(home, capsys)
    assert status == 0
    assert report["forgotten"] == said["contents"]


def test_what_a_living_process_was_told_is_kept_and_it_comes_back(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_process(home, "3", as_json=True)
    assert json.loads(capsys.readouterr().out)["kept"] >= 2
    assert holding(home, LIVING) == ["journal.db"]
    assert homes.opens(home) is None
    assert verified(home, capsys)[0] == 0


@pytest.mark.parametrize(("pid", "errno"), [("2", "EBUSY"), ("77", "ESRCH"), ("x", "EINVAL"), ("0", "EINVAL")])
def test_what_cannot_be_forgotten_is_refused_and_nothing_is_changed(home: Path, pid: str, errno: str) -> None:
    before = (home / "journal.db").read_bytes()
    with pytest.raises(KernelError) as refused:
        forget_process(home, pid, as_json=False)
    assert refused.value.errno == errno
    assert (home / "journal.db").read_bytes() == before


def test_a_result_that_a_living_parent_has_not_taken_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def watch(seq: int, time_ns: int, events: Any) -> None:
            if any(isinstance(event, ev.ProcessExited) and event.pid == 2 for event in events):
                ended.set_result(None)

        shard = await homes.open_home(tmp_path / "home", watch=watch)
        homes.spawn(shard, tmp_path / "home", "parent")
        async with asyncio.timeout(20):
            await ended
        await shard.close()

    asyncio.run(run())
    with pytest.raises(KernelError) as refused:
        forget_process(tmp_path / "home", "2", as_json=False)
    assert refused.value.errno == "EBUSY"


def test_forgetting_again_finds_nothing_and_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_process(home, "1", as_json=False)
    capsys.readouterr()
    forget_process(home, "1", as_json=True)
    assert json.loads(capsys.readouterr().out)["contents"] == 0
    assert verified(home, capsys)[0] == 0


def test_what_was_forgotten_is_said_to_be(home: Path) -> None:
    forget_process(home, "1", as_json=False)

    async def read() -> None:
        shard = await homes.open_home(home)
        try:
            await shard.kernel.operator.wait_ended(1)
        finally:
            await shard.close()

    with pytest.raises(KernelError, match="was forgotten"):
        asyncio.run(read())


@pytest.mark.parametrize("loss", ["UPDATE rows SET bodies = x'' WHERE seq > 3", "DELETE FROM bodies"])
def test_a_loss_that_nobody_recorded_is_a_finding(home: Path, loss: str, capsys: pytest.CaptureFixture[str]) -> None:
    forget_process(home, "1", as_json=False)
    connection = apsw.Connection(str(home / "journal.db"))
    connection.execute(loss)
    connection.close()
    status, report = verified(home, capsys)
    assert (status, report["sound"]) == (1, False)


def test_the_shares_bytes_are_given_back(home: Path) -> None:
    async def used() -> int:
        shard = await homes.open_home(home)
        try:
            return shard.kernel.table.journal_bytes
        finally:
            await shard.close()

    before = asyncio.run(used())
    forget_process(home, "1", as_json=False)
    assert asyncio.run(used()) < before - 400 * len(SECRET) + 2_000
