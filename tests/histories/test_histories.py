"""G8: recorded journals run on today's code, for ever; and those that cannot are refused with a clear error.

Those named `relay` were written by earlier versions. The programs' files are not there: what runs is what was recorded.
"""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import events as ev
from prytany.abi.errors import Eio
from prytany.cli.archive import archive_journal
from prytany.cli.journal import verify_home
from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.stores.sqlite import SqliteStore
from prytany.drivers.stores.sqlite_reader import SqliteReader
from prytany.drivers.tools.python.tools import PythonTools
from prytany.journal.anchor import Head, read_anchor
from prytany.journal.chain import GENESIS, next_hash
from prytany.journal.digests import Keyring
from prytany.journal.snapshot import snapshot_of
from prytany.journal.verify import verify
from prytany.kernel.content import said
from prytany.kernel.folding import fold_from_snapshot, fold_from_start
from prytany.process.process import State
from prytany.system import shard as system_shard
from prytany.system.backup import make_backup
from prytany.system.restoring import restore_home
from prytany.system.shard import Shard
from prytany.testing.model_endpoint import ModelEndpoint
from tests.histories.history import restore
from tests.simulation.news import News, settling

HERE = Path(__file__).parent
HISTORIES = sorted(HERE.glob("*.jsonl"))
IN_FLIGHT = [path for path in HISTORIES if "in-flight" in path.name]
SHOP = HERE.parent / "simulation" / "programs" / "shop.py"
RELAY = [
    [f"{name} {turn} [2 words]" for turn in ("left", "right", "0", "1")] for name in ("ann", "ben")
]  # fmt: skip
MARKET = [
    [[[1, 3, 6], [1, 3, 6]], ["again", 2], {"ann": [1, 2, 3], "ben": [1, 2, 3]}, [9, 9]],
    ["talk one [2 words]", "talk two [2 words]", "talk three [2 words]", 7, 5],
    2,
    "told to end",
]
BOUGHT = [[f"{order} costs 7", f"{order} paid", f"{order} sent"] for order in ("o1", "o2")]


class HeldFiles:
    """The operator's files, in memory: the recorded paths are on no machine."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    async def read(self, unveil: dict[str, str], path: str) -> bytes:
        return self.held[path]

    async def write(self, unveil: dict[str, str], path: str, data: bytes) -> int:
        assert unveil == {os.path.dirname(path): "rw"}
        self.held[path] = data
        return len(data)

    async def list(self, unveil: dict[str, str], path: str) -> list[str]:
        return sorted(os.path.basename(name) for name in self.held)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded files and tools, where there is no /srv/prytany."""
    load = PythonTools.load

    async def load_shop(path: Path, *rest: Any, **options: Any) -> PythonTools:
        tools = await load(SHOP, *rest, **options)
        tools.path = str(path)
        return tools

    monkeypatch.setattr(system_shard, "BeneathFiles", HeldFiles)
    monkeypatch.setattr(PythonTools, "load", load_shop)


def look(home: Path) -> list[ev.Event]:
    """Verify what is in `home`; all of its events."""
    reader = SqliteReader(home / "journal.db")
    keyring = Keyring.load((home / "keys").read_bytes(), os.urandom)
    report = verify(reader, keyring, said, anchor=read_anchor(home / "head"))
    assert report.sound, list(map(str, report.findings))
    events = [event for row in reader.rows(1) for event in ev.decode_entry(row.record).events]
    reader.close()
    return events


async def never(shard: Shard, endpoint: ModelEndpoint, news: News) -> None:
    raise AssertionError("a kernel opened what it has to refuse")


def in_home(home: Path, body: Callable[[Shard, ModelEndpoint, News], Awaitable[Any]]) -> Any:
    """What `body` answers, in a kernel on that home."""

    async def run() -> Any:
        async with ModelEndpoint() as endpoint:
            model = OpenAINative("m", base_url=endpoint.base_url)
            news = News()
            shard = await Shard.open(home, {"": model, "m": model}, watch=news)
            try:
                async with asyncio.timeout(60):
                    return await body(shard, endpoint, news)
            finally:
                await shard.close()

    return asyncio.run(run())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_journal_verifies_and_folds_to_what_it_was(path: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    restore(path, home)
    look(home)
    reader = SqliteReader(home / "journal.db")
    table = fold_from_start(reader).state.table
    reader.close()
    root = table.processes[1]
    assert len(table.processes) == (1 if "finished" in path.name else len(table.processes))
    assert root.alive == ("in-flight" in path.name)
    assert root.status == 0


@pytest.mark.parametrize("path", IN_FLIGHT, ids=lambda path: path.stem)
def test_a_recorded_process_in_flight_is_finished_and_no_answered_call_is_made_again(
    path: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    restore(path, home)
    before = look(home)

    async def finish(shard: Shard, endpoint: ModelEndpoint, news: News) -> tuple[dict[str, Any], int]:
        end = shard.kernel.operator.wait_ended(1)
        return await settling(shard.kernel, news, end, "give", "o1 sent"), endpoint.total

    ended, asked = in_home(home, finish)
    assert ended["status"] == 0, ended
    if "relay" in path.name:
        assert ended["result"] == {"said": RELAY, "chance": True}
    else:
        assert ended["result"] == {"said": MARKET, "bought": BOUGHT, "same": True, "files": ["market.txt"]}
    events = look(home)
    assert events[: len(before)] == before
    ends = [(e.pid, e.n, e.prev) for e in events if isinstance(e, ev.CallClosed)]
    assert len(ends) == len(set(ends))
    answered = {(e.pid, e.n) for e in before if isinstance(e, ev.CallClosed)}
    opened = [e for e in events if isinstance(e, ev.CallOpened) and e.call == "model_chat"]
    done_before = sum(
        (e.pid, e.n) in answered for e in before if isinstance(e, ev.CallOpened) and e.call == "model_chat"
    )
    assert asked == len(opened) - done_before


def test_a_finished_history_stays_as_it_is_and_asks_nobody(tmp_path: Path) -> None:
    for path in set(HISTORIES) - set(IN_FLIGHT):
        home = tmp_path / path.stem
        restore(path, home)

        async def look_at(shard: Shard, endpoint: ModelEndpoint, news: News) -> tuple[dict[str, Any], int]:
            return await shard.kernel.operator.wait_ended(1), endpoint.total

        ended, asked = in_home(home, look_at)
        assert (ended["status"], asked) == (0, 0)
        assert ended["result"]["said"] == (RELAY if "relay" in path.name else MARKET)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_home_of_an_older_version_is_backed_up_and_brought_back_and_loses_nothing(path: Path, tmp_path: Path) -> None:
    restore(path, tmp_path / "home")
    store = SqliteStore(tmp_path / "home" / "journal.db", reserve_bytes=0)
    row = store.reader().head()
    assert row is not None
    store.save_snapshot(snapshot_of(Head(row.seq, row.hash), "an older fold", b"what today cannot believe"))
    store.close()
    before = look(tmp_path / "home")
    reader = SqliteReader(tmp_path / "home" / "journal.db")
    assert fold_from_snapshot(reader).snapshot_seq == 0
    alive = sum(p.alive for p in fold_from_snapshot(reader).state.table.processes.values())
    reader.close()
    make_backup(tmp_path / "home", tmp_path / "b")
    made = restore_home(tmp_path / "b", tmp_path / "new")
    assert (made.stopped, made.content_lost) == (alive, 0)
    assert look(tmp_path / "new")[: len(before)] == before

    async def stands(shard: Shard, endpoint: ModelEndpoint, news: News) -> tuple[set[State], int]:
        return {p.state for p in shard.kernel.table.processes.values() if p.alive}, endpoint.total

    assert in_home(tmp_path / "new", stands) == ({State.STOPPED} if alive else set(), 0)


@pytest.mark.parametrize("path", IN_FLIGHT, ids=lambda path: path.stem)
def test_a_process_in_flight_of_an_older_version_goes_on_over_an_archive_of_all_that_it_did(
    path: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    restore(path, home)
    archive_journal(home, tmp_path / "a", "2100-01-01", as_json=True)
    reader = SqliteReader(home / "journal.db")
    assert reader.archived() > 10
    assert fold_from_start(reader).snapshot_seq >= reader.archived()
    reader.close()

    async def finish(shard: Shard, endpoint: ModelEndpoint, news: News) -> dict[str, Any]:
        return await settling(shard.kernel, news, shard.kernel.operator.wait_ended(1), "give", "o1 sent")

    ended = in_home(home, finish)
    assert ended["status"] == 0, ended
    assert ended["result"]["said"] == (RELAY if "relay" in path.name else MARKET)
    assert verify_home(home, "", True, [tmp_path / "a"]) == 0


def changed(path: Path, place: Path, seq: int, change: Callable[[list[Any]], None]) -> Path:
    """A history as `path`, with entry `seq` changed and the chain made anew from there: what another program wrote."""
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    at = GENESIS
    for line in lines:
        if "seq" not in line:
            continue
        record = b64decode(line["record"])
        if line["seq"] == seq:
            raw = msgspec.msgpack.decode(record)
            change(raw)
            record = msgspec.msgpack.encode(raw)
            line["record"] = b64encode(record).decode()
        at = next_hash(at, record)
        line["hash"] = at.hex()
    place.write_text("".join(json.dumps(line) + "\n" for line in (first, *lines)))
    return place


def content_of(home: Path) -> bytes:
    return (home / "journal.db").read_bytes() + (home / "head").read_bytes()


def test_an_event_of_a_newer_version_is_refused_by_its_entry_and_nothing_is_changed(tmp_path: Path) -> None:
    def newer(raw: list[Any]) -> None:
        raw[1][0][0] = raw[1][0][0].replace("/1", "/999")

    home = tmp_path / "home"
    restore(changed(IN_FLIGHT[0], tmp_path / "newer", 9, newer), home)
    before = content_of(home)
    with pytest.raises(Eio) as refused:
        in_home(home, never)
    assert "entry 9" in refused.value.message
    assert "version" in refused.value.message
    assert content_of(home) == before


def test_a_program_that_now_does_something_else_is_stopped_and_not_looped(tmp_path: Path) -> None:
    relay = next(path for path in IN_FLIGHT if "relay" in path.name)

    def other(raw: list[Any]) -> None:
        assert raw[1][0][:4] == ["call.opened/1", 3, 1, "model_chat"]
        raw[1][0][3] = "model_embed"

    home = tmp_path / "home"
    restore(changed(relay, tmp_path / "other", 10, other), home)

    async def watch(shard: Shard, endpoint: ModelEndpoint, news: News) -> tuple[State, str, int]:
        table = shard.kernel.table
        while "3:replay:0" not in table.incidents or table.get(2) is not None:
            await news.wait()
        return table.require(3).state, table.require(3).reason, endpoint.total

    state, reason, asked = in_home(home, watch)
    assert (state, reason) == (State.STOPPED, "EREPLAY")
    assert asked == 1, "the other child went on where it stood"
    state, reason, asked = in_home(home, watch)
    assert (state, reason, asked) == (State.STOPPED, "EREPLAY", 0), "stopped is stopped, for the next kernel too"
    assert sum(isinstance(e, ev.ProcessPaused) for e in look(home)) == 1


def test_a_torn_chain_is_refused_with_what_is_still_sound(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in IN_FLIGHT[0].read_text().splitlines()]
    torn = [line for line in lines if line.get("seq") != 20]
    (tmp_path / "torn").write_text("".join(json.dumps(line) + "\n" for line in torn))
    home = tmp_path / "home"
    restore(tmp_path / "torn", home)
    before = content_of(home)
    with pytest.raises(Eio) as refused:
        in_home(home, never)
    assert refused.value.detail["sound"] == 19
    assert content_of(home) == before
