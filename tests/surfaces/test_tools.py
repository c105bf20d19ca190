"""Tools as a user runs them: real tool processes, secrets from the environment, and a kernel that is killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.surfaces.commands import ROOT, command, here, prytany

SECRET = "s3cret-of-the-shop"
EXAMPLE = ["examples/orders/main.py:clerk", "--tools", "examples/orders/tools/shop.py", "--model", "scripted"]

PROGRAM = """
from prytany import agent

@agent(pledge="tools")
async def main(proc):
    first = await proc.tools.slow.look(what="a")
    return [first, await proc.tools["slow.send"](what="parcel")]
"""
TOOLS = '''
import os
from prytany import tool

@tool(effect="pure")
def look(what: str) -> str:
    """Look."""
    return what

@tool
def send(what: str) -> str:
    """Send."""
    with open("begun", "a") as file:
        print(what, file=file)
    with open("told", "w") as pipe:
        print(os.getpid(), file=pipe)
    with open("told") as pipe:
        return pipe.read()
'''


def test_the_example_runs_and_its_secret_is_nowhere_in_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = prytany("run", *EXAMPLE, home=home, SHOP_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    assert "1001: tea, 450 cents" in done.stdout
    assert done.stdout.count("sent under label") == 2
    assert "calls shop.ship (unsafe)" in done.stderr
    assert b"label" in (home / "logs" / "tools.shop.log").read_bytes()
    for path in home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path.name
    assert here("journal", "verify", home=home).returncode == 0


def test_a_secret_that_is_missing_is_named_with_the_tool_that_needs_it(tmp_path: Path) -> None:
    done = prytany("run", *EXAMPLE, home=tmp_path / "home", SHOP_KEY="")
    assert done.returncode == 2
    assert "shop.ship" in done.stderr
    assert "SHOP_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_tools_are_listed_without_their_secrets_and_a_bad_file_is_a_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("raise ValueError('\\x1b[2Jno')")
    base = ("tools", "--tools", "examples/orders/tools/shop.py")
    done = here(*base, "--json")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(t["name"], t["effect"], t["secrets"]) for t in listed] == [
        ("shop.price", "pure", []), ("shop.ship", "unsafe", ["SHOP_KEY"]),
    ]  # fmt: skip
    done = here(*base, "--tools", str(bad))
    assert done.returncode == 1
    assert "secret SHOP_KEY, resource orders/{order_id}" in done.stdout
    assert "\x1b" not in done.stderr
    assert "bad.py" in done.stderr


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder whose home was left by a kernel that was killed while an unsafe tool ran."""
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "main.py").write_text(PROGRAM)
    (tmp_path / "slow.py").write_text(TOOLS)
    os.mkfifo(tmp_path / "told")
    arguments = [f"{tmp_path}/program/main.py:main", "--tools", str(tmp_path / "slow.py"), "--model", "scripted"]
    with subprocess.Popen(
        command("run", *arguments, home=tmp_path / "home"),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    ) as run:
        with (tmp_path / "told").open() as told:
            tool = os.pidfd_open(int(told.read()))
        os.kill(run.pid, signal.SIGKILL)
    assert select.select([tool], [], [], 20)[0], "the tool's process outlives its kernel"
    os.close(tool)
    return tmp_path


def resume(folder: Path) -> str:
    """Resume until a person is needed; what was said."""
    with subprocess.Popen(
        command("resume", "--model", "scripted", home=folder / "home"), stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stderr is not None
        said = ""
        for line in run.stderr:
            said += line
            if "needs a person: doubt" in line:
                run.send_signal(signal.SIGINT)
        return said


def resumed_until(folder: Path, words: str) -> bool:
    """Resume until that is said; whether it was."""
    with subprocess.Popen(
        command("resume", "--model", "scripted", home=folder / "home"), stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        assert run.stderr is not None
        # Before it, the kernel may have to say that workers of the one before had not gone yet.
        said = any(words in line for line in run.stderr)
        run.send_signal(signal.SIGINT)
    return said


def test_an_unsafe_tool_that_ran_when_the_kernel_was_killed_waits_until_it_is_settled(killed: Path) -> None:
    home = killed / "home"
    assert "needs a person: doubt" in resume(killed)
    (row,) = [json.loads(line) for line in here("incidents", "--json", home=home).stdout.splitlines()]
    assert (row["pid"], row["n"], row["kind"], row["call"]) == (1, 2, "doubt", "tool_call slow.send")
    assert json.loads(here("ps", "--json", home=home).stdout)["reason"] == "an outcome in doubt"
    assert here("incidents", "give", "1", "2", "it was sent", home=home).returncode == 0
    done = prytany("resume", "--model", "scripted", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['a', 'it was sent']\n"
    assert (killed / "begun").read_text() == "parcel\n"
    assert here("logs", "tools.slow", home=home).returncode == 0
    assert here("logs", "tools./../../keys", home=home).returncode == 2
    assert here("journal", "verify", home=home).returncode == 0


def test_a_file_of_tools_that_was_changed_is_used_where_it_says_the_same_else_its_text_of_then(killed: Path) -> None:
    tools = killed / "slow.py"
    tools.write_text(TOOLS.replace("print(what, file=file)", 'print("changed", file=file)'))
    said = here("resume", "--model", "scripted", home=killed / "nowhere").stderr
    assert "Traceback" not in said
    assert resumed_until(killed, "was changed since run 1 began")
    tools.write_text(TOOLS.replace('"""Send."""', '"""Burn."""'))
    assert resumed_until(killed, "run 1, which goes on with its text of then")
    tools.unlink()
    gone = here("resume", "--model", "scripted", home=killed / "home")
    assert gone.returncode == 2
    assert "granted to run 1" in gone.stderr
    assert (killed / "begun").read_text() == "parcel\n"
