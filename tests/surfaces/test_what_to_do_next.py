"""What a person is advised to do is what helps: each of these was once told to do what could not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from unittest import mock

import pytest

from prytany.abi.errors import Ebusy, Einval, KernelError
from prytany.cli.backup import taken
from prytany.cli.run import in_use
from prytany.cli.trusting import path_of
from prytany.client import attach
from prytany.drivers.models.failures import host_of
from prytany.kernel.effects import model as model_effects
from prytany.system import backup, shard
from prytany.system.fleet.form import Notice, Secret
from prytany.system.fleet.notifying import command_faults
from prytany.system.fleet.secrets import FOLDER, read_secret
from prytany.system.model_trial import NEXT
from tests.surfaces.commands import here

FLEET = """
version: 1
name: f
secrets: {k: {env: PRYTANY_TEST_NO_SUCH_KEY}}
models: {default: {driver: openai, model: m, base_url: "http://127.0.0.1:9/v1", key: {secret: k}}}
agents:
  talks: {instruction: "You talk."}
  works: {program: works.py:main}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "works.py").write_text("async def main(proc):\n    return 1\n")
    return tmp_path


def kernel(home: Path) -> None:
    async def once() -> None:
        await (await shard.Shard.open(home, {}, runners=lambda logs: {})).close()

    asyncio.run(once())


def notes(error: BaseException) -> str:
    return "; ".join(getattr(error, "__notes__", ()))


def test_a_key_that_is_not_set_is_to_be_exported(folder: Path) -> None:
    done = here(
        "run", f"{folder}/fleet.yaml", "--entry", "talks", "--trust", "--arg", "prompt=hello", home=folder / "home"
    )
    assert done.returncode == 2
    assert "next: export PRYTANY_TEST_NO_SUCH_KEY=" in done.stderr


@pytest.mark.parametrize(
    ("secret", "expected"),
    [(Secret(file="key"), "/nowhere/key"), (Secret(credential="key"), "LoadCredential=key:PATH")],
)
def test_a_key_that_is_not_where_it_is_taken_from_is_to_be_put_there(secret: Secret, expected: str) -> None:
    with pytest.raises(KernelError) as raised:
        read_secret("k", secret, "/nowhere", {})
    assert expected in notes(raised.value)
    with pytest.raises(KernelError) as raised:
        read_secret("k", Secret(credential="key"), "/nowhere", {FOLDER: "/nowhere"})
    assert "write it into /nowhere/key" in notes(raised.value)


def test_a_script_of_answers_that_is_broken_is_to_be_mended(folder: Path) -> None:
    (folder / "answers.json").write_text("{")
    (folder / "fleet.yaml").write_text(
        "version: 1\nname: f\nmodels: {default: {driver: scripted, file: answers.json}}\n"
        "agents: {a: {instruction: x}}\n"
    )
    done = here("run", f"{folder}/fleet.yaml", "--entry", "a", "--arg", "prompt=hello", home=folder / "home")
    assert f"next: mend {folder}/answers.json" in done.stderr


def test_who_wants_to_talk_with_a_program_is_told_of_the_agents_that_talk(folder: Path) -> None:
    done = here("chat", "works", "--fleet", str(folder), home=folder / "home")
    assert "'works'" in done.stderr
    assert "it is a program" in done.stderr
    assert "next: its chat agents are: talks" in done.stderr


def test_where_no_fleet_is_up_one_is_to_be_brought_up() -> None:
    from prytany.cli.up import _only  # pyright: ignore[reportPrivateUsage]

    with pytest.raises(KernelError) as raised:
        _only([])
    assert notes(raised.value) == "bring one up with: prytany up"
    with pytest.raises(KernelError) as raised:
        _only(["a", "b"])
    assert notes(raised.value) == "name one of a, b"


def test_a_home_in_use_names_the_kernel_as_the_operating_system_s() -> None:
    advice = in_use(Ebusy("in use", detail={"pid": 4616}), Path("/h"))
    assert "`kill 4616`" in advice
    assert "prytany kill" not in advice
    assert "prytany chat --home /h" in advice
    assert "kill" not in in_use(Ebusy("in use", detail={"pid": 0}), Path("/h"))


def test_an_only_copy_is_not_to_be_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"")

    class About:
        first, entries = 1, 7

    class Reader:
        def close(self) -> None:
            pass

    def open_copy(path: Path, kind: str) -> tuple[Reader, About]:
        return Reader(), About()

    monkeypatch.setattr(backup, "open_copy", open_copy)
    with pytest.raises(Einval) as raised:
        backup._refuse_only_copy(tmp_path / "a", 7)  # pyright: ignore[reportPrivateUsage]
    assert notes(taken(raised.value)).startswith("name another file: this one is not replaced")
    assert "--force" not in notes(taken(Einval("/x is there, and is no regular file")))
    assert "--force" in notes(taken(Einval("/x is there already")))


def test_a_program_that_may_not_be_executed_is_to_be_made_executable(tmp_path: Path) -> None:
    (tmp_path / "tell it.sh").write_text("#!/bin/sh\n")
    notice = Notice(command=["./tell it.sh"])
    ((_, said),) = command_faults(notice, tmp_path, ())
    assert said == f"{tmp_path}/tell it.sh is not executable; chmod +x '{tmp_path}/tell it.sh'"
    os.chmod(tmp_path / "tell it.sh", 0o700)
    assert not list(command_faults(notice, tmp_path, ()))


def test_what_a_running_kernel_refuses_comes_with_what_to_do(folder: Path) -> None:
    home = folder / "home"

    async def refused() -> KernelError:
        from prytany.cli.bringing import bring_command, resolved

        running = await shard.Shard.open(home, {}, runners=lambda logs: {})
        client = await attach(home)
        try:
            await client.bring_fleet(bring_command(resolved(folder), environment={}))
        except KernelError as error:
            return error
        finally:
            await client.close()
            await running.close()
        raise AssertionError

    error = asyncio.run(refused())
    assert notes(error).startswith("export PRYTANY_TEST_NO_SUCH_KEY=")
    assert "next" not in error.detail


WORKS = """
from prytany import agent
@agent(pledge="model")
async def main(proc):
    return await proc.llm("x")
"""


def test_an_endpoint_that_is_down_is_a_line_with_what_to_do_and_the_author_s_own_frames(folder: Path) -> None:
    text = FLEET.replace("secrets: {k: {env: PRYTANY_TEST_NO_SUCH_KEY}}\n", "").replace(", key: {secret: k}", "")
    (folder / "fleet.yaml").write_text(text)
    (folder / "works.py").write_text(WORKS)
    home = folder / "home"
    with mock.patch.object(model_effects, "BACKOFF_NS", 1_000_000):
        talks = here("run", f"{folder}/fleet.yaml", "--entry", "talks", "--arg", "prompt=x", home=home)
        works = here("run", f"{folder}/fleet.yaml", "--entry", "works", home=home)
        told = here("chat", "talks", "--fleet", str(folder), "--say", "hello", home=home)
    said = "[EMODEL in model_chat] the model 'm' did not answer: no connection to 127.0.0.1:9: Connection refused"
    assert [said, f"next: {NEXT['unreachable']}"] == talks.stderr.splitlines()[-2:], talks.stderr
    assert "Traceback" not in talks.stderr
    assert [line for line in works.stderr.splitlines() if line.startswith("  File ")] == [
        f'  File "{folder}/works.py", line 5, in main'
    ], works.stderr
    assert said in works.stderr
    assert f"next: {NEXT['unreachable']}" in works.stderr
    assert f"next: {NEXT['unreachable']}" in told.stderr


def test_of_an_address_only_the_host_is_said() -> None:
    assert host_of("https://me:hidden@example.org:8080/v1?key=hidden") == "example.org:8080"
    assert host_of("https://[") == ""


def test_a_fleet_above_beside_the_home_that_is_used_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRYTANY_HOME", raising=False)
    (folder / ".prytany").mkdir(mode=0o700)
    (folder / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(folder / "a" / "b")
    with pytest.raises(KernelError, match="no fleet file here") as raised:
        path_of(Path())
    assert f"is in {folder}: name it as ../../;" in notes(raised.value)
    (folder / "fleet.yaml").unlink()
    with pytest.raises(KernelError) as raised:
        path_of(Path())
    assert "prytany init" in notes(raised.value)
