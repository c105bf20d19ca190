"""People are told, by a real command and a real webhook, from `run`, `up` and `resume`, also after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from prytany.abi.errors import Enoent
from prytany.cli.attached import reach
from prytany.client import Client
from tests.surfaces.commands import ROOT, command, here, prytany
from tests.unit.drivers.couriers.receiver import Receiver, answer

SECRET = "-".join(("very", "secret", "0123456789"))
FLEET = """
version: 1
name: shop
entry: fails
secrets: {pager: {env: PAGER}, hook: {env: HOOK}}
agents:
  fails: {program: main.py:fails}
  waits: {program: main.py:waits}
notify:
"""
COMMAND = "- {command: [./page.sh, --now], env: {PAGER_KEY: {secret: pager}}}\n"
WEBHOOK = "- {webhook: {secret: hook}, headers: {Authorization: {secret: pager}}, of: [failure]}\n"
MAIN = """
from prytany import agent

@agent()
async def fails(proc):
    raise ValueError("what the agent knows")

@agent()
async def waits(proc):
    await proc.sleep(3600)
"""
PAGE = '#!/bin/sh\nread -r notice\nprintf "%s\\n" "$notice" >> told\necho "$1 $PAGER_KEY"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "fleet"
    made.mkdir()
    (made / "main.py").write_text(MAIN)
    (made / "page.sh").write_text(PAGE)
    (made / "page.sh").chmod(0o700)
    write(made, COMMAND)
    return made


def write(folder: Path, notify: str) -> None:
    (folder / "fleet.yaml").write_text(FLEET + notify)


def told(folder: Path) -> list[dict[str, Any]]:
    """What the command was told."""
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def holds(home: Path, text: str) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


async def run(*words: str, home: Path, **environment: str) -> tuple[int, str, str]:
    """A command, while this loop serves what it reaches."""
    started = await asyncio.create_subprocess_exec(
        *command(*words, home=home), env={**os.environ, "PAGER": SECRET, **environment}, cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await started.communicate()
    assert started.returncode is not None
    return started.returncode, out.decode(), err.decode()


async def look(*words: str, home: Path) -> Any:
    return await asyncio.to_thread(here, *words, home=home)


def with_receiver(test: Callable[[Receiver], Awaitable[None]]) -> None:
    async def served() -> None:
        async with Receiver() as receiver:
            await test(receiver)

    asyncio.run(asyncio.wait_for(served(), 90))


def test_a_run_that_fails_tells_by_a_command_before_it_ends_and_keeps_no_secret(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = prytany("run", str(folder), "--trust", home=home, PAGER=SECRET, HOOK="x")
    assert done.returncode == 1
    (notice,) = told(folder)
    assert (notice["kind"], notice["fleet"], notice["look"]) == ("failure", "shop", f"prytany ps --home {home}")
    assert notice["about"] == [{"pid": 1, "name": "fails", "agent": "fails", "what": "status 1", "n": 0}]
    assert "what the agent knows" not in json.dumps(notice)
    assert notice["text"].endswith(f"Look with: prytany ps --home {home}")
    assert holds(home, SECRET) == []
    assert holds(home, "--now [PAGER_KEY]"), "what the command said is kept"
    shown = json.loads(here("status", "--json", home=home).stdout)
    assert (shown["notices_waiting"], shown["notices_given_up"]) == (0, 0)
    assert here("notify", home=home).stderr.strip() == "no notice waits: each was delivered, or dropped"


def test_what_is_not_trusted_is_not_run_and_nobody_is_told(folder: Path, tmp_path: Path) -> None:
    done = prytany("run", str(folder), home=tmp_path / "home", PAGER=SECRET, HOOK="x")
    assert done.returncode == 2
    assert f"notices run the command {folder}/page.sh --now, with the secret pager (the variable PAGER)" in done.stderr
    assert told(folder) == []


def test_a_webhook_is_told_with_its_secret_and_what_it_refuses_is_shown_and_can_be_tried_again(
    folder: Path, tmp_path: Path
) -> None:
    write(folder, WEBHOOK)
    home = tmp_path / "home"

    async def test(receiver: Receiver) -> None:
        receiver.always = answer(302, b"", Location="http://10.0.0.1/")
        code, _, said = await run("run", str(folder), "--trust", home=home, HOOK=receiver.url)
        assert (code, len(receiver.requests)) == (1, 1)
        assert "a notice could not be delivered (redirected (302))" in said
        first = receiver.requests[0]
        assert first[1]["authorization"] == SECRET
        row = json.loads((await look("notify", "--json", home=home)).stdout)
        assert (row["state"], row["cause"], row["attempts"]) == ("given up", "redirected (302)", 1)
        assert row["channel"] == "webhook in the secret hook"
        assert "given up" in (await look("notify", home=home)).stdout
        assert "0 wait, 1 could not be delivered" in (await look("status", home=home)).stdout
        assert "1 notice to people could not be delivered" in (await look("incidents", home=home)).stderr
        receiver.always = answer(200)
        assert (await look("notify", "retry", home=home)).stdout == "retried: 1\n"
        assert (await run("resume", home=home, HOOK=receiver.url))[0] == 0
        assert len(receiver.requests) == 2
        assert receiver.requests[1][2] == first[2], "the same words under the same id"
        assert receiver.requests[1][1]["idempotency-key"] == first[1]["idempotency-key"] == first[2]["id"]
        assert (await look("notify", "--json", home=home)).stdout == ""
        assert holds(home, SECRET) == holds(home, receiver.url) == []

    with_receiver(test)


def test_one_that_hangs_is_left_to_the_next_kernel_and_a_kill_loses_nothing(folder: Path, tmp_path: Path) -> None:
    write(folder, WEBHOOK)
    home = tmp_path / "home"

    async def test(receiver: Receiver) -> None:
        receiver.always = None
        started = await asyncio.create_subprocess_exec(
            *command("run", str(folder), "--trust", home=home), cwd=ROOT,
            env={**os.environ, "PAGER": SECRET, "HOOK": receiver.url}, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await receiver.wait_requests(1)
        started.kill()
        await started.wait()
        receiver.always = answer(200)
        assert (await run("resume", home=home, HOOK=receiver.url))[0] == 0
        first, second = receiver.requests
        assert first[2] == second[2]

    with_receiver(test)


@contextmanager
def up(folder: Path, home: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command("up", str(folder), "--trust", home=home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PAGER": SECRET, "HOOK": "x", **environment}, cwd=ROOT,
    ) as kernel:  # fmt: skip
        assert kernel.stdout is not None
        try:
            assert "+ agent fails" in [line.strip() for line in iter(kernel.stdout.readline, "the fleet shop is up\n")]
            yield kernel
        finally:
            kernel.send_signal(signal.SIGTERM)


def test_up_applies_changed_notices_and_those_that_wait_go_the_new_way(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(folder, "- {command: ['false']}\n")
    with up(folder, home):
        fleet = json.loads(here("status", "--json", home=home).stdout)["fleets"][0]
        assert [row["label"] for row in fleet["channels"]] == ["command false"]
        from prytany.client import attach

        async def start() -> None:
            client = await attach(home)
            await client.wait(await client.start_agent("shop", "fails", {}))
            while not (rows := await client.notices()) or not rows[0].attempts:
                await client.wait_entry((await client.status()).head)
            await client.close()

        asyncio.run(asyncio.wait_for(start(), 30))
        (row,) = [json.loads(line) for line in here("notify", "--json", home=home).stdout.splitlines()]
        assert (row["state"], row["cause"]) == ("waiting", "exit 1")
        write(folder, COMMAND)
        planned = here("up", str(folder), "--trust", "--dry-run", home=home)
        assert planned.stdout.splitlines()[:2] == ["+ notify command page.sh", "- notify command false"]
        assert told(folder) == []
        applied = here("up", str(folder), "--trust", home=home)
        assert "+ notify command page.sh" in applied.stdout
        assert "nothing changed" in here("up", str(folder), "--trust", home=home).stdout
    assert [notice["kind"] for notice in told(folder)] == ["failure"]


def test_an_up_that_finds_a_kernel_which_only_begins_waits_for_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    looks: list[Path] = []

    async def early(where: Path) -> Client:
        looks.append(where)
        if len(looks) == 1:
            raise Enoent("it does not listen yet")
        return await reach(where)

    with up(folder, home):
        monkeypatch.setattr("prytany.cli.up.reach", early)
        done = here("up", str(folder), "--trust", home=home)
    assert (done.returncode, len(looks)) == (0, 2), done.stderr
    assert done.stdout.splitlines()[-1].startswith("the fleet shop is up")


def test_a_test_goes_through_each_channel_and_says_what_happened(folder: Path, tmp_path: Path) -> None:
    write(folder, COMMAND + WEBHOOK + "- {command: [sh, -c, 'echo oh no; exit 3']}\n")
    home = tmp_path / "home"

    async def test(receiver: Receiver) -> None:
        code, out, _ = await run("notify", "test", str(folder), home=home, HOOK=receiver.url)
        assert (code, out) == (2, ""), "it runs code, so it is trusted first"
        code, out, _ = await run("notify", "test", str(folder), "--trust", home=home, HOOK=receiver.url)
        assert code == 1
        lines = [line for line in out.splitlines() if not line.startswith("  ")]
        assert [line.partition(" (")[0] for line in lines] == [
            "command page.sh: delivered", "webhook in the secret hook: delivered", "command sh: NOT delivered: exit 3",
        ]  # fmt: skip
        assert "it said: oh no" in out
        assert SECRET not in out
        ((_, _, body),) = receiver.requests
        assert body["kind"] == told(folder)[0]["kind"] == "test"
        _, out, _ = await run("notify", "test", str(folder), "--trust", "--json", home=home, HOOK="nowhere")
        rows = [json.loads(line) for line in out.splitlines()]
        assert [(row["delivered"], row["cause"]) for row in rows] == [
            (True, ""),
            (False, "no address"),
            (False, "exit 3"),
        ]

    with_receiver(test)
    assert not (home / "journal.db").exists()


def test_what_cannot_be_is_said(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    missing = prytany("run", str(folder), "--trust", home=home, HOOK="x")
    assert missing.returncode == 2
    assert "PAGER, which is not set" in missing.stderr
    write(folder, "")
    (folder / "fleet.yaml").write_text(FLEET.replace("notify:\n", ""))
    assert here("notify", "test", str(folder), home=home).returncode == 2
    for words in (("notify", "retry", "9"), ("notify", "drop", "9"), ("notify", "retry", "0"), ("notify", "drop", "x")):
        assert here(*words, home=home).returncode == 2, words
