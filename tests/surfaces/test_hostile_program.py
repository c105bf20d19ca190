"""Programs that misbehave, in real confined workers: each is an exit status or an errno, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.surfaces.commands import here, prytany

PROGRAM = """
import asyncio, os, socket
from prytany import agent

@agent(pledge="files.read files.write proc")
async def escapes(proc, input, output):
    said = []
    async def attempt(what, call):
        try:
            await call
            said.append(f"{what}: done")
        except Exception as error:
            said.append(f"{what}: {getattr(error, 'errno', type(error).__name__)}")
    await attempt("climb", proc.files.read(f"{input}/../secret"))
    await attempt("absolute", proc.files.read("/etc/passwd"))
    await attempt("link", proc.files.read(f"{input}/link"))
    await attempt("fifo", proc.files.read(f"{input}/fifo"))
    await attempt("device", proc.files.read("/dev/zero"))
    await attempt("write input", proc.files.write(f"{input}/x", "x"))
    await attempt("write git", proc.files.write(f"{output}/.git/config", "x"))
    await attempt("write GIT", proc.files.write(f"{output}/.GIT/config", "x"))
    await attempt("close it to all", proc.files.write(f"{output}/pyvenv.cfg", "x"))
    await proc.files.write(f"{output}/own.py", "from prytany import agent\\n@agent()\\nasync def f(proc): pass")
    await attempt("own program", proc.spawn(f"{output}/own.py:f"))
    await attempt("model", proc.llm("hello"))
    await attempt("parent", proc.kill(proc.parent or 1))
    for what, do in (("open", lambda: open("/etc/passwd")), ("socket", socket.socket), ("fork", os.fork)):
        try:
            do()
            said.append(f"{what}: done")
        except Exception as error:
            said.append(f"{what}: refused")
    return " | ".join(said)

@agent()
async def dies(proc, input, output):
    os._exit(7)

@agent()
async def raises(proc, input, output):
    print("\\x1b[2Jseen")
    raise ValueError("\\x1b[31mno")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("program", "input"):
        (tmp_path / name).mkdir()
    (tmp_path / "program" / "bad.py").write_text(PROGRAM)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "input" / "link").symlink_to(tmp_path / "secret")
    import os

    os.mkfifo(tmp_path / "input" / "fifo")
    return tmp_path


def run(folder: Path, function: str) -> tuple[int, str, str]:
    done = prytany(
        "run", f"{folder}/program/bad.py:{function}", "--input", f"{folder}/input", "--output", f"{folder}/output",
        "--model", "scripted", home=folder / "home",
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_nothing_leads_out_of_what_was_granted(folder: Path) -> None:
    status, said, _ = run(folder, "escapes")
    assert status == 0
    assert said.strip().split(" | ") == [
        "climb: EACCES", "absolute: EACCES", "link: EACCES", "fifo: EINVAL", "device: EACCES", "write input: EACCES",
        "write git: EACCES", "write GIT: EACCES", "close it to all: EACCES", "own program: EACCES",
        "model: EPERM", "parent: EPERM", "open: refused", "socket: refused", "fork: refused",
    ]  # fmt: skip
    assert (folder / "secret").read_text() == "secret"


def test_a_worker_that_dies_is_an_exit_status(folder: Path) -> None:
    assert run(folder, "dies")[0] == 7


def test_an_exception_is_shown_with_its_escape_codes_made_visible(folder: Path) -> None:
    status, _, said = run(folder, "raises")
    assert status == 1
    assert "ValueError" in said
    assert "\x1b" not in said
    logs = here("logs", "1", home=folder / "home").stdout
    assert "seen" in logs
    assert "\x1b" not in logs
