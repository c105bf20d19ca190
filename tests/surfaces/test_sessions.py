"""Sessions as people have them: on a terminal, several at once, through kill -9 and a kernel that goes away."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import termios
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.commands import ROOT, command, here, prytany
from tests.surfaces.terminal import on_terminal
from tests.surfaces.test_talking import FLEET, SCRIPT, talk

LISTENER = """
from prytany import Server


class Echo(Server):
    pledge = "ipc"

    async def on_say(self, text: str) -> str:
        return text.upper()


async def deaf(proc):
    await proc.sleep(3600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    more = "  echo: {program: echo.py:Echo, service: true}\n  deaf: {program: echo.py:deaf, service: true}\n"
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("entry:", more + "entry:"))
    (tmp_path / "echo.py").write_text(LISTENER)
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    return tmp_path


@contextmanager
def up(folder: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """The fleet up on a kernel of its own; its home, and the kernel."""
    home = folder / "home"
    with subprocess.Popen(
        command("up", str(folder), home=home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as kernel:
        assert kernel.stdout is not None
        while "is up" not in (line := kernel.stdout.readline()):
            assert line
        try:
            yield home, kernel
        finally:
            kernel.kill()
            kernel.wait(60)


def rows(home: Path, *more: str) -> list[dict[str, Any]]:
    """`sessions --json`."""
    done = here("sessions", *more, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def waits_for_room(pid: int) -> bool:
    """Whether the process stands still until one descriptor is ready: its loop waits for many, by other means."""
    return "poll" in (said := Path(f"/proc/{pid}/wchan").read_text()) and "ep_poll" not in said


def until_asked(home: Path) -> None:
    """Look until an answer is under way."""
    while not rows(home)[0]["unanswered"]:
        pass


def test_a_talk_on_a_terminal(folder: Path) -> None:
    with on_terminal("chat", "--fleet", str(folder), "--trust", home=folder / "home") as person:
        person.until("> ")
        person.type("Hello there.\n")
        person.until("Hello there. [2 words]\r\n")
        person.until("> ")
        person.type("one\ntwo\n")  # as it is pasted
        person.until("one two [2 words]")
        person.until("> ")
        person.type('"""\nthree\n')
        person.until("… ")
        person.type("four\\\n")
        person.until("… ")
        person.type('"""\n')
        person.until("three four\\ [2 words]")
        person.until("> ")
        person.type("and\\\n")
        person.until("… ")
        person.type("on\n")
        person.until("and on [2 words]")
        person.until("> ")
        person.type("colour\n")
        assert "\x1b[31m" not in person.until("\\x1b[31mred\\x1b[0m")
        person.until("> ")
        person.type("Speak slowly.\n")
        person.until("slowly.\r\n")
        until_asked(folder / "home")
        person.type(b"\x03")
        person.until("[interrupted]")
        person.until("> ")
        person.type("/nothing\n")
        person.until("there is no /nothing")
        person.until("> ")
        person.type("/cost\n")
        person.until("of a model")
        person.until("> ")
        person.type("half a line")
        person.until("half a line")
        person.type(b"\x03")
        person.until("Ctrl-C again leaves")
        person.until("> half a line")
        person.type(b"\x03")
        assert person.ended() == 130
    (row,) = rows(folder / "home", "--all")
    assert (row["state"], row["reason"], row["kept"]) == ("closed", "left by the last who was in it", False)


def test_the_end_of_input_leaves_and_so_does_a_terminal_that_is_closed(folder: Path) -> None:
    with up(folder) as (home, _):
        with on_terminal("chat", "friend", "--as", "Ada", home=home) as person:
            person.until("> ")
            for _ in range(50):  # who asks next may be heard before who has just come in
                (row,) = rows(home)
                if row["attended"]:
                    break
            assert (row["session"], row["state"], row["user"], row["attended"]) == (3, "open", "Ada", 1)
            person.type(b"\x04")
            assert person.ended() == 0
        assert rows(home) == []
        with on_terminal("chat", "friend", "--grace", "0.2", home=home) as person:
            person.until("> ")
            person.hang_up()
            assert person.ended() == 129
        assert prytany("wait", "4", home=home).returncode == 0
        assert rows(home, "--all")[-1]["reason"] == "nobody was left in it"


def test_who_is_killed_is_waited_for_and_can_come_back_or_not(folder: Path) -> None:
    with up(folder) as (home, _):
        with on_terminal("chat", "friend", "--grace", "3600", home=home) as person:
            person.until("> ")
            person.type("Speak slowly.\n")
            until_asked(home)
            person.kill()
        with on_terminal("attach", home=home) as person:
            person.until("[uid ")
            person.until("says: Speak slowly.]")  # what is being answered is heard from its beginning
            person.type(b"\x03")
            person.until("[interrupted]")
            person.type("Back.\n")
            person.until("Back. [1 words]")
            person.type("/end\n")
            assert person.ended() == 0
        assert rows(home, "--all")[-1]["reason"] == "ended by an operator"
        assert [json.loads(line)["session"] for line in prytany("ps", "--json", home=home).stdout.splitlines()] == [
            0, 0, 3,
        ]  # fmt: skip


def test_several_hear_the_same_and_are_answered_one_after_the_other(folder: Path) -> None:
    with up(folder) as (home, _), on_terminal("chat", "friend", home=home) as first:
        first.until("> ")
        with on_terminal("attach", "3", home=home) as second:
            second.until("> ")
            second.type("Hello.\n")
            second.until("Hello. [1 words]")
            first.until("says: Hello.]")
            first.until("Hello. [1 words]")
            first.until("> ")
            first.type("Speak slowly.\n")
            second.until("says: Speak slowly.]")
            second.type("Meanwhile.\n")
            first.until("says: Meanwhile.]")
            second.type(b"\x03")  # ends the answer in hand, whoever asked
            first.until("[interrupted]")
            second.until("Meanwhile. [1 words]")
            first.until("Meanwhile. [1 words]")
            first.until("> ")
            first.type(b"\x04")
            assert first.ended() == 0
            second.until("> ")
            assert [row["attended"] for row in rows(home)] == [1]
            second.type(b"\x04")
            assert second.ended() == 0
        assert rows(home) == []


def test_a_session_outlives_its_kernel_and_who_is_in_it_is_let_in_again(folder: Path) -> None:
    with up(folder) as (home, kernel), on_terminal("chat", "friend", home=home) as person:
        person.until("> ")
        person.type("Good morning.\n")
        person.until("[2 words]")
        kernel.kill()
        kernel.wait(60)
        person.until("the kernel went away")
        with up(folder):
            person.until("it is back")
            person.type("Still there?\n")
            person.until("Still there? [2 words]")
            person.until("> ")
            person.type(b"\x04")
            assert person.ended() == 0
    assert [row["reason"] for row in rows(home, "--all")] == ["left by the last who was in it"]


def test_the_agent_dies_in_the_middle_of_an_answer(folder: Path) -> None:
    with up(folder) as (home, _), on_terminal("chat", "friend", home=home) as person:
        person.until("> ")
        person.type("Speak slowly.\n")
        until_asked(home)
        here("kill", "3", "-s", "KILL", home=home)
        person.until("has ended: killed")
        assert person.ended() == 137
        assert rows(home, "--all")[-1]["reason"] == "its agent ended: killed"


def test_what_can_be_attached_to(folder: Path) -> None:
    with up(folder) as (home, _):
        assert talk("attach", "1", home=home, typed="hello\n").stdout == "HELLO\n"  # a server that takes `say`
        for words, expected in (
            (("attach", "2"), "process 2 is no session, and takes no messages"),
            (("attach", "99"), "there is no process 99"),
            (("attach",), "no session is open"),
            (("chat", "friend", "--say", " "), "there is nothing to say"),
            (("sessions", "end", "1"), "there is no session 1"),
            (("chat", "echo"), "the agent 'echo' is a program"),
            (("send", "nobody", "say", "x"), "no process of an agent 'nobody' runs"),
        ):
            done = talk(*words, home=home, typed="")
            assert (done.returncode, expected in done.stderr, "next:" in done.stderr) == (2, True, True), done.stderr
        assert talk("chat", "friend", "--keep", "--say", "Hello.", home=home, typed="").stdout == "Hello. [1 words]\n"
        assert talk("attach", "--say", "-", home=home, typed="One\ntwo.\n").stdout == "One two. [2 words]\n"
        assert talk("send", "friend", "say", "Psst.", "--wait", home=home, typed="").stdout == "Psst. [1 words]\n"
        failed = talk("attach", "4", "-m", "Something broken.", home=home, typed="")
        assert (failed.returncode, failed.stdout) == (2, "")
        assert "EMODEL" in failed.stderr
        inspected = json.loads(talk("inspect", "4", "--json", home=home, typed="").stdout)
        assert (inspected["session"], inspected["state"]) == (4, "waiting")
        ended = talk("sessions", "end", "4", "4", "77", "--json", home=home, typed="")
        assert ended.returncode == 2
        assert json.loads(ended.stdout) == {"session": 4, "state": "closed", "reason": "ended by an operator"}
        gone = talk("attach", "4", home=home, typed="")
        assert (gone.returncode, "session 4 has ended: ended by an operator" in gone.stderr) == (2, True)


def test_what_is_said_may_be_anything_up_to_a_bound(folder: Path) -> None:
    home = folder / "home"
    words = command("chat", "--fleet", str(folder), "--trust", home=home)

    def piped(given: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(words, input=given, capture_output=True, timeout=60, cwd=ROOT, check=False)

    odd = piped(b"\xff\xfe\x00 caf\xc3\xa9\r\n/help me\n//no\n")
    assert odd.returncode == 0
    assert odd.stdout.decode().splitlines()[0] == "\ufffd\ufffd\\x00 café [2 words]"
    long = piped(b"x" * 3_000_000 + b"\nhello\n")
    assert (long.returncode, b"a message has at most 1000000 bytes" in long.stderr) == (2, True)
    (folder / "long.txt").touch()
    os.truncate(folder / "long.txt", 200 << 20)
    with (folder / "long.txt").open("rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, timeout=60, cwd=ROOT, check=False)
    assert (done.returncode, b"a message has at most" in done.stderr) == (2, True)
    assert [row["state"] for row in rows(home, "--all")] == ["closed"] * 3


def test_a_reader_that_goes_away_ends_the_session(folder: Path) -> None:
    words = command("chat", "--fleet", str(folder), "--trust", home=folder / "home")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(b"Hello.\n")
        run.stdin.flush()
        run.stdout.read(1)
        run.stdout.close()
        run.stdin.write(b"Again.\n")
        run.stdin.flush()
        assert run.wait(60) == 141
    assert [row["state"] for row in rows(folder / "home", "--all")] == ["closed"]


def test_ctrl_c_twice_leaves_an_answer_that_does_not_end(folder: Path) -> None:
    (folder / "fleet.yaml").write_text(
        FLEET.replace(
            '{instruction: "You are a friend.", about: Talks.}', "{instruction: Ask., tools: [slow]}"
        ).replace("agents:", "tools: {slow: {python: slow.py}}\nagents:")
    )
    (folder / "slow.py").write_text(
        "import time\nfrom prytany import tool\n\n@tool(effect='pure')\ndef wait() -> int:\n"
        "    '''Wait.'''\n    time.sleep(3600)\n    return 1\n"
    )
    script = {"rules": [{"when": "use", "role": "user", "tool_calls": [{"name": "slow__wait"}]}]}
    (folder / "script.json").write_text(json.dumps(script))
    with on_terminal("chat", "--fleet", str(folder), "--trust", home=folder / "home") as person:
        person.until("> ")
        person.type("use\n")
        person.until("[uses slow.wait]")
        person.type(b"\x03")
        person.until("[interrupted]")
        person.until("> ")
        person.type(b"\x03")
        person.until("again leaves")
        person.type(b"\x03")
        assert person.ended() == 130


def test_a_chat_that_is_terminated_leaves_in_order(folder: Path) -> None:
    words = command("chat", "--fleet", str(folder), "--trust", "--json", home=folder / "home")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stderr is not None
        assert json.loads(run.stderr.readline())["session"] == 3
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
    assert [row["state"] for row in rows(folder / "home", "--all")] == ["closed"]


def test_who_has_enough_leaves_a_kernel_that_stands_still(folder: Path) -> None:
    with up(folder) as (home, kernel), on_terminal("chat", "friend", home=home) as person:
        person.until("> ")
        kernel.send_signal(signal.SIGSTOP)
        try:
            person.type("\x03")
            person.until("[Ctrl-C again leaves")
            person.type("\x03")
            person.until("[leaving; Ctrl-C again leaves at once]")
            person.type("\x03")
            person.until("[left without a word from the kernel")
            assert person.ended() == 130
        finally:
            kernel.send_signal(signal.SIGCONT)


def test_a_kernel_whose_terminal_nobody_reads_goes_on(folder: Path) -> None:
    home = folder / "home"
    with on_terminal("up", str(folder), home=home) as kernel:
        kernel.until("2 alive")
        kernel.type("\x13")  # Ctrl-S
        try:
            said = "".join(f"Word {n}.\n" for n in range(5))
            done = talk("chat", "friend", home=home, typed=said)
            assert len(done.stdout.splitlines()) == 5, done.stderr
        finally:
            kernel.type("\x11")  # Ctrl-Q: who is killed with output that is held ends late


@pytest.mark.parametrize("own", [False, True])
def test_a_chat_whose_output_nobody_takes_heeds_that_it_is_to_end(own: bool, folder: Path) -> None:
    script = {"rules": [{"when": "much", "text": "word " * 3_000}]}
    (folder / "script.json").write_text(json.dumps(script))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    with ExitStack() as stack:
        home = folder / "home" if own else stack.enter_context(up(folder))[0]
        words = command("chat", *(("--fleet", str(folder), "--trust") if own else ("friend",)), home=home)
        run = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=writer, cwd=ROOT))
        os.close(writer)
        assert run.stdin is not None
        run.stdin.write(b"much\n")
        run.stdin.flush()
        waiting = array("i", [0])
        while not (waiting[0] and waits_for_room(run.pid)):
            fcntl.ioctl(reader, termios.FIONREAD, waiting)
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 143
        os.close(reader)
        assert [(row["state"], row["reason"]) for row in rows(home, "--all")] == [
            ("closed", "left by the last who was in it")
        ]  # fmt: skip
