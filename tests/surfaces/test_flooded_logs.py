"""A program that prints without end costs a bounded file, and nobody else anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.system.logs import Logs, read_log
from prytany.system.shard import Shard
from tests.surfaces.shards import spawn, with_shard

BYTES_MAX = 100_000
LINES = 20_000
PROGRAM = f"""
from prytany import agent

@agent(pledge="")
async def floods(proc):
    for number in range({LINES}):
        print(f"\\x1b[31m{{number:06}}\\x00\\u202e")
    return "printed"

@agent(pledge="model")
async def honest(proc):
    print("here")
    return [await proc.llm(str(turn)) for turn in range(20)][0] and "came through"
"""


def test_a_flood_is_bounded_on_disk_and_its_log_says_what_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)
    home = tmp_path / "home"
    monkeypatch.setattr(limits, "LOG_BYTES_MAX", BYTES_MAX)
    sizes: list[int] = []
    append = Logs.append

    def measured(logs: Logs, pid: int | str, data: bytes) -> None:
        append(logs, pid, data)
        sizes.append(sum(path.stat().st_size for path in (home / "logs").glob("1.*") if path.suffix != ".times"))

    monkeypatch.setattr(Logs, "append", measured)

    async def body(shard: Shard) -> list[object]:
        pids = [spawn(shard, f"{tmp_path}/main.py:{name}") for name in ("floods", "honest")]
        return [ended["result"] for ended in await asyncio.gather(*map(shard.kernel.operator.wait_ended, pids))]

    assert with_shard(home, body) == ["printed", "came through"]
    printed = "".join(f"\x1b[31m{number:06}\x00\u202e\n" for number in range(LINES)).encode()
    log = read_log(home, 1)
    assert log is not None
    assert log.dropped + len(log.printed) == len(printed)
    assert printed.endswith(log.printed)
    assert log.printed.startswith(b"\x1b[31m")
    assert log.dropped > len(printed) - BYTES_MAX
    assert max(sizes) <= BYTES_MAX
    assert read_log(home, 2) == (0, b"here\n")
