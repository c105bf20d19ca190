"""Fleet files on the command line: the digest as a fleet, killed and resumed; trust; models, keys and their limits."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prytany.testing.model_endpoint import ModelEndpoint
from tests.surfaces.commands import ROOT, command, here, prytany

DIGEST = ROOT / "examples" / "digest"
KEY = "-".join(("sk", "very", "secret", "0123456789"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("whole")
    done = prytany("run", str(DIGEST), "--output", str(folder / "out"), "--model", "scripted", home=folder / "home")
    assert done.returncode == 0, done.stderr
    return folder / "home", (folder / "out" / "digest.md").read_text()


def test_the_digest_as_a_fleet_gives_what_the_program_gives(tmp_path: Path, finished: tuple[Path, str]) -> None:
    words = ["run", f"{DIGEST}/main.py:editor", "--input", f"{DIGEST}/documents", "--output", f"{tmp_path}/out"]
    assert prytany(*words, "--model", "scripted", home=tmp_path / "home").returncode == 0
    assert (tmp_path / "out" / "digest.md").read_text() == finished[1]


def test_each_agent_has_what_the_file_grants_it(finished: tuple[Path, str]) -> None:
    rows = [json.loads(line) for line in here("trace", "1", "--json", home=finished[0]).stdout.splitlines()]
    assert {row["status"] for row in rows if row["event"] == "process.exited"} == {0}
    (editor,) = [json.loads(line) for line in here("ps", "--json", home=finished[0]).stdout.splitlines()]
    assert sorted(editor["unveil"].values()) == ["r", "rw"]


@pytest.mark.parametrize("answers", [1, 4])
def test_a_fleet_that_is_killed_is_resumed_without_its_file(
    tmp_path: Path, finished: tuple[Path, str], answers: int
) -> None:
    folder = shutil.copytree(DIGEST, tmp_path / "digest", ignore=shutil.ignore_patterns("output"))
    words = command(
        "run", str(folder), "--output", str(tmp_path / "out"), "--model", "scripted", home=tmp_path / "home"
    )
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT) as run:
        assert run.stderr is not None
        seen = 0
        for line in run.stderr:
            seen += "has its answer" in line
            if seen == answers:
                run.send_signal(signal.SIGKILL)
                break
    (folder / "fleet.yaml").unlink()
    done = prytany("resume", "--model", "scripted", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "digest.md").read_text() == finished[1]


TWO = """
version: 1
name: two
entry: boss
models:
  default: {driver: openai, base_url: "${URL}", model: big, key: {secret: provider}, limits: {concurrency: 1}}
  small: {driver: openai, base_url: "${URL}", model: tiny, prices: {input: 1, output: 2}}
secrets: {provider: {env: PROVIDER_KEY}}
agents:
  boss: {program: main.py:boss, spawns: [helper]}
  helper: {program: main.py:helper, model: small}
"""
MAIN = """
from prytany import KernelError, agent

@agent(pledge="proc model")
async def boss(proc):
    said = [await proc.llm("one"), await proc.llm("two", model="small")]
    for name in ("1/small", "scripted", "nothing"):
        try:
            said.append(await proc.llm("three", model=name))
        except KernelError as error:
            said.append(error.errno)
    return [*said, await proc.run(helper, "four"), await proc.run("helper", "five")]

@agent(pledge="model")
async def helper(proc, text):
    return await proc.llm(text)
"""


def test_agents_ask_the_models_of_their_fleet_with_its_keys_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(TWO)
    (tmp_path / "main.py").write_text(MAIN)
    home = tmp_path / "home"

    async def main() -> tuple[bytes, list[Any]]:
        async with ModelEndpoint() as endpoint:
            environment = {**os.environ, "URL": endpoint.base_url, "PROVIDER_KEY": KEY}
            run = await asyncio.create_subprocess_exec(
                *command("run", str(tmp_path), "--trust", "--json", home=home), env=environment, cwd=ROOT,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, said = await run.communicate()
            assert run.returncode == 0, said
            assert endpoint.tokens == {KEY, ""}
            return out, list(endpoint.bodies)

    out, requests = asyncio.run(asyncio.wait_for(main(), 60))
    result = json.loads(out)["result"]
    assert result[2:5] == ["ENOENT"] * 3
    assert [request["model"] for request in requests] == ["big", "tiny", "tiny", "tiny"]
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_secret_that_is_not_there_is_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(TWO.replace("${URL}", "http://127.0.0.1:9/v1"))
    (tmp_path / "main.py").write_text(MAIN)
    done = here("run", str(tmp_path), "--trust", home=tmp_path / "home")
    assert done.returncode == 2
    assert "PROVIDER_KEY, which is not set" in done.stderr


TRUSTED = """
version: 1
name: shop
tools: {shop: {python: shop.py}}
agents: {one: {program: main.py:one, tools: [shop.look]}}
"""
SHOP = """
from prytany import tool

@tool(effect="pure")
def look(what: str) -> str:
    '''Look.'''
    return f"a {what}"
"""
ONE = """
from prytany import agent

@agent(pledge="tools")
async def one(proc):
    return await proc.tools.shop.look(what="ship")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(TRUSTED)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "main.py").write_text(ONE)
    return tmp_path


def test_what_is_not_confined_has_to_be_trusted_once_and_again_when_it_changes(shop: Path) -> None:
    home = shop / "home"
    words = ["run", str(shop), "--model", "scripted"]
    refused = here(*words, home=home)
    assert refused.returncode == 2
    assert f"the tools in {shop}/shop.py run outside of any confinement" in refused.stderr
    assert "--trust" in refused.stderr
    assert prytany(*words, "--trust", home=home).stdout == "a ship\n"
    assert prytany(*words, home=home).stdout == "a ship\n"
    (shop / "shop.py").write_text(SHOP.replace("a {what}", "the {what}"))
    assert here(*words, home=home).returncode == 2


@pytest.mark.parametrize(("typed", "status"), [(b"y\n", 0), (b"n\n", 2), (b"\x04", 130)])
def test_at_a_terminal_it_is_asked(shop: Path, typed: bytes, status: int) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        command("run", str(shop), "--model", "scripted", home=shop / "home"), stdin=slave, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=ROOT,
    ) as run:  # fmt: skip
        os.write(master, typed)
        out, said = run.communicate(timeout=60)
    os.close(slave)
    os.close(master)
    assert run.returncode == status, said
    assert b"Do you trust this?" in said
    assert out == (b"a ship\n" if status == 0 else b"")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["run", "."], "there is no fleet file"),
        (["run", "{shop}", "--entry", "two"], "there is no agent 'two'"),
        (["run", "{shop}", "--input", "/tmp"], "has no folder 'input'"),
        (["run", "{shop}", "--unveil", "/tmp"], "--unveil is for programs"),
        (["run", "{shop}/main.py:one", "--entry", "x"], "--entry and --trust are for fleets"),
        (["fleet", "check", "nowhere"], "there is no fleet file"),
        (["fleet", "check", "{shop}/main.py"], "there is no fleet file"),
        (["fleet", "show", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_what_cannot_be_run_or_shown_is_said(shop: Path, tmp_path: Path, words: list[str], expected: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    words = [sys.executable, "-m", "prytany.cli", *(word.format(shop=shop) for word in words)]
    environment = {**os.environ, "PRYTANY_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path / "elsewhere", env=environment, check=False
    )
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_fleet_that_has_faults_is_told_with_all_of_them(shop: Path) -> None:
    (shop / "fleet.yaml").write_text(TRUSTED.replace("tools: [shop.look]", "tool: [shop.look], turns: 3"))
    done = here("fleet", "check", str(shop), "--json")
    error = json.loads(done.stderr)
    assert error["errno"] == "EINVAL"
    assert [(f["line"], f["path"]) for f in error["detail"]["faults"]] == [(5, "agents.one.tool")]


def test_a_fleet_is_shown_as_written_and_as_it_will_run(shop: Path) -> None:
    assert here("fleet", "show", str(shop)).stdout == TRUSTED
    shown = json.loads(here("fleet", "show", str(shop), "--resolved", "--json").stdout)
    assert shown["agents"]["one"]["program"] == f"{shop}/main.py:one"
    schema = json.loads(here("fleet", "schema").stdout)
    assert set(schema["properties"]) >= {"version", "agents", "models"}
