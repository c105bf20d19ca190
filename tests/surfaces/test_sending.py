"""Operators send messages, into a running kernel and into a home where none runs, and see what runs took."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, Enoent, Eperm, Esrch, KernelError
from prytany.abi.signals import Signal
from prytany.cli.inspect import inspect_process
from prytany.cli.listing import list_processes
from prytany.cli.send import send_message
from prytany.cli.upgrade import upgrade_process
from prytany.client import Client, attach
from prytany.kernel.turn import others_first
from prytany.system.shard import Shard
from tests.surfaces import homes


def with_kernel(home: Path, action: Callable[[Shard, Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        shard = await homes.open_home(home)
        client = await attach(home)
        try:
            return await action(shard, client)
        finally:
            await client.close()
            await shard.close()

    return asyncio.run(run())


async def refused(error: type[KernelError], asked: Awaitable[object]) -> None:
    with pytest.raises(error):
        await asked


def test_a_message_is_sent_into_a_running_kernel_and_what_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def life(shard: Shard, client: Client) -> Any:
        listens = homes.spawn(shard, home, "listens", 2, pledge=["ipc"])
        deaf = homes.spawn(shard, home, "waits", 1, 8)
        over = homes.spawn(shard, home, "steps", 1, 8)
        await shard.kernel.operator.wait_ended(over)
        for error, pid, kind, body in (
            (Esrch, 77, "x", None), (Esrch, 0, "x", None), (Esrch, -1, "x", None), (Esrch, over, "x", None),
            (Eperm, deaf, "x", None), (Einval, listens, "", None), (Einval, 1 << 70, "x", None),
            (Einval, listens, "x" * (limits.NAME_BYTES_MAX + 1), None), (Einval, listens, "\ud800", None),
            (Einval, listens, "x", "y" * limits.MESSAGE_BYTES_MAX), (Einval, listens, "x", object()),
        ):  # fmt: skip
            await refused(error, client.send(pid, kind, body))
        assert await client.send(listens, "order", {"n": [1, None, "é"]}) == 1
        while shard.kernel.table.require(listens).usage.calls < 3 or not shard.kernel.table.require(listens).open:
            await others_first()
        row = next(row for row in await client.ps() if row.pid == listens)
        assert (row.state, row.open[0].call, row.open[0].waits) == ("waiting", "message_receive", "message")
        assert row.open[0].opened_ns >= row.started_ns > 0
        assert await client.send(listens, "order", 7) == 2
        return (await client.wait(listens)).result

    sender = -1 - os.getuid()
    assert with_kernel(home, life) == [["order", {"n": [1, None, "é"]}, sender], ["order", 7, sender]]


def test_a_full_mailbox_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def life(shard: Shard, client: Client) -> None:
        slow = homes.spawn(shard, home, "listens", 1, pledge=["ipc"])
        await client.signal(slow, Signal.STOP)
        for n in range(limits.MAILBOX_MESSAGES_MAX):
            shard.kernel.operator.send(slow, "x", n, uid=0)
        await refused(Eagain, client.send(slow, "x", None))
        found = await client.inspect(slow)
        assert found.mailbox.waiting == found.used["mailbox_messages"] == found.limits["mailbox_messages"]

    with_kernel(home, life)


def test_what_is_sent_while_nothing_runs_is_there_when_the_home_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"

    async def begin(shard: Shard, client: Client) -> int:
        return homes.spawn(shard, home, "listens", 4, pledge=["ipc"])

    pid = str(with_kernel(home, begin))
    send_message(home, pid, "order", '{"n": 1}', False, False)
    shown = capsys.readouterr()
    assert shown.out == "message 1 of type order is in the mailbox of process 1\n"
    assert "prytany resume" in shown.err
    send_message(home, pid, "order", "7", True, True)
    assert json.loads(capsys.readouterr().out) == {"message": 2, "receiver": 1, "type": "order"}
    send_message(home, pid, "\x1b", "no { json", False, False)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[2]")))
    send_message(home, pid, "order", None, False, False)
    for error, to, body in (
        (Einval, "1x", "1"),
        (Enoent, "nobody", "1"),
        (Esrch, "77", "1"),
        (Einval, pid, "\udcff"),
        (Einval, pid, str(1 << 70)),
    ):
        with pytest.raises(error):
            send_message(home, to, "order", body, False, False)

    async def go_on(shard: Shard, client: Client) -> Any:
        return (await client.wait(int(pid))).result

    taken = with_kernel(home, go_on)
    assert [[kind, body] for kind, body, _ in taken] == [
        ["order", {"n": 1}], ["order", "7"], ["\x1b", "no { json"], ["order", [2]],
    ]  # fmt: skip


def test_an_upgrade_that_makes_no_sense_is_refused_and_nothing_is_recorded(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def begin(shard: Shard, client: Client) -> int:
        return homes.spawn(shard, home, "listens", 1, pledge=["ipc"])

    pid = str(with_kernel(home, begin))
    before = with_kernel(home, lambda shard, client: client.inspect(int(pid))).source
    for error, who, target in (
        (Einval, "x", ""), (Esrch, "77", ""), (Einval, pid, ""), (Einval, pid, "Names"), (Einval, pid, ":Names"),
        (Einval, pid, "a.py:x y"), (Enoent, pid, "nowhere.py:Names"), (Einval, pid, "\0.py:Names"),
    ):  # fmt: skip
        with pytest.raises(error):
            upgrade_process(home, who, target, False)
    after = with_kernel(home, lambda shard, client: client.inspect(int(pid)))
    assert (after.source, after.pending) == (before, "")


def test_what_a_run_took_stays_when_its_children_are_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"

    async def life(shard: Shard, client: Client) -> int:
        root = homes.spawn(shard, home, "family", "text")
        await client.wait(root)
        homes.spawn(shard, home, "listens", 1, pledge=["ipc"])
        return root

    root = str(with_kernel(home, life))
    capsys.readouterr()
    list_processes(home, True)
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["tree"]["processes"], first["usage"]["calls"], first["tree"]["calls"]) == (2, 2, 4)
    assert (first["below"]["processes"], first["below"]["calls"]) == (1, 2)
    assert second["tree"]["processes"] == 1
    list_processes(home, False)
    assert "run 1: 2 processes, 4 calls, 0 of a model, 0 + 0 tokens, $0," in capsys.readouterr().out
    inspect_process(home, root, True)
    assert json.loads(capsys.readouterr().out)["tree"] == first["tree"]
    inspect_process(home, root, False)
    assert "tree         2 processes, 4 calls" in capsys.readouterr().out


def test_who_listens_late_is_told_in_answers_of_a_bounded_size(tmp_path: Path) -> None:
    home = tmp_path / "home"
    text = "x" * 900_000

    async def life(shard: Shard, client: Client) -> None:
        pid = homes.spawn(shard, home, "waits", 1, 8, pledge=("proc", "ipc"))
        for _ in range(12):
            await client.send(pid, "say", text)
        heard, after = 0, 0
        while heard < 12:  # in one answer it would be more than a connection may leave unread
            answer = await client.hear(pid, after)
            assert len(answer.said) <= 2
            assert all(said.value["body"] == text for said in answer.said)
            heard, after = heard + len(answer.said), answer.last

    with_kernel(home, life)
