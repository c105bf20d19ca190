"""A kernel and a command of different versions, and a package that changes under a kernel: said, never a traceback."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import control
from prytany.abi.errors import Einval, Eio, KernelError
from prytany.cli import status as shown
from prytany.client import attach
from prytany.client import client as client_module
from prytany.runtime import launcher as launching
from prytany.runtime.launcher import Launcher
from prytany.system import shard as shards
from prytany.system.usage import disk_use, entries_of
from prytany.testing.store_suite import chain_of
from tests.surfaces import homes
from tests.surfaces.test_keeping import said


def asked(home: Path, ask: Any) -> KernelError:
    """What a command is refused with by the kernel that runs in the home."""

    async def run() -> KernelError:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            await ask(client)
        except KernelError as error:
            return error
        finally:
            await client.close()
            await shard.close()
        raise AssertionError("it was answered")

    return asyncio.run(run())


def test_a_command_that_an_older_kernel_does_not_know_says_which_versions_these_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = msgspec.msgpack.Decoder(control.GetStatus | control.ListProcesses)
    monkeypatch.setattr(control, "decode_command", known.decode)
    monkeypatch.setattr(client_module, "__version__", "9.9.9")
    error = asked(tmp_path / "home", lambda client: client.shrink())
    assert isinstance(error, Einval)
    assert "prytany 0.1.0.dev0, and this is 9.9.9" in error.message


def test_an_answer_of_another_form_says_which_versions_these_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(control.ANSWERS, control.ListIncidents, int)
    monkeypatch.setitem(control.ANSWERS, control.GetStatus, int)
    for ask in (lambda client: client.incidents(), lambda client: client.status()):
        monkeypatch.setattr(client_module, "__version__", "9.9.9")
        error = asked(tmp_path / "home", ask)
        assert isinstance(error, Eio)
        assert "this is 9.9.9" in error.message
    monkeypatch.undo()
    monkeypatch.setitem(control.ANSWERS, control.ListIncidents, int)
    assert "prytany" not in asked(tmp_path / "home", lambda client: client.incidents()).message


def test_wrong_arguments_of_the_same_version_are_not_blamed_on_versions(tmp_path: Path) -> None:
    error = asked(tmp_path / "home", lambda client: client.signal("one", 15))
    assert (type(error), "prytany" in error.message) == (Einval, False)


def test_a_kernel_that_stays_has_loaded_all_that_it_may_want_later(tmp_path: Path) -> None:
    for name in shards.LATER:
        sys.modules.pop(f"prytany.{name}", None)
    asked(tmp_path / "home", lambda client: client.signal("one", 15))
    assert {f"prytany.{name}" for name in shards.LATER} <= sys.modules.keys()


def test_workers_of_another_version_than_the_kernel_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "__version__", "0.0.9")

    async def start() -> None:
        launcher = Launcher(sys.executable, unconfined=True)
        try:
            with pytest.raises(Eio, match=r"upgraded under this kernel, from 0\.0\.9 to 0\.1"):
                await launcher.start()
            assert launcher.zygote_pid is None
        finally:
            await launcher.close()

    asyncio.run(start())


def test_status_says_what_the_home_takes_how_it_grows_and_that_the_disk_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    homes.make_home(home, count=400)
    _, out, _ = said("status", home=home)
    disk = out["disk"]
    assert out["states"] == {"terminated": 2}
    assert disk["journal_bytes"] == sum(p.stat().st_size for p in home.glob("journal.db*"))
    assert 0 < disk["day_bytes"] <= disk["journal_bytes"]
    assert (disk["archived"], disk["low"]) == (0, disk["free_bytes"] < max(64 << 20, 7 * disk["day_bytes"]))
    monkeypatch.setattr(shown, "disk_use", lambda home: disk_use(home)._replace(free=1 << 20))
    assert said("status", home=home)[1]["disk"]["low"] is True
    assert said("journal", "archive", "--before", "100", "--to", str(tmp_path / "a"), home=home)[0] == 0
    assert said("status", home=home)[1]["disk"]["archived"] == 99


def test_how_many_entries_a_day_has_is_known_after_few_looks() -> None:
    from prytany.abi import events as ev
    from prytany.drivers.stores.memory import MemoryReader

    rows = chain_of([ev.encode_entry(ev.Entry(at, [])) for at in range(1, 3_001)])
    looks: list[int] = []

    class Counting(MemoryReader):
        def row(self, seq: int) -> Any:
            looks.append(seq)
            return rows[seq - 1] if seq > 700 else None

    reader = Counting(rows, [], [])
    assert entries_of(reader, 2_901) == (3_000, 100)
    assert entries_of(reader, 5_000) == (3_000, 0)
    assert entries_of(MemoryReader([], [], []), 5) == (0, 0)
    assert len(looks) < 30


@pytest.mark.parametrize("days", ["x", "-1", "nan", "1e9", "inf"])
def test_a_number_of_days_that_is_none_is_refused(tmp_path: Path, days: str) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "version: 1\nname: one\nagents: {a: {kind: chat, instruction: hello}}\nentry: a\n"
    )
    words = ("up", str(tmp_path / "fleet.yaml"), "--model", "scripted", f"--keep-ended={days}")
    _, _, error = said(*words, home=tmp_path / "home")
    assert (error["errno"], "--keep-ended" in error["message"]) == ("EINVAL", True)
