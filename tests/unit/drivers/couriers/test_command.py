"""An operator's command as a courier: what it gets, what becomes of it, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from prytany.abi import limits
from prytany.drivers.couriers import guard
from prytany.drivers.couriers.command import CommandCourier
from prytany.ports.courier import Letter, Missed

LETTER = Letter("a" * 32, b'{"kind":"test"}')
SECRET = "-".join(("very", "secret", "0123456789"))
HANGS = "open('pid', 'w').write(str(os.getpid())); print('on', flush=True)\nwhile True: time.sleep(60)"
Deliver = Callable[..., bytes]


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    def run(*command: str, timeout_ms: int = 20_000, secrets: dict[str, str] | None = None) -> bytes:
        courier = CommandCourier(
            command, folder=str(tmp_path), secrets=lambda: secrets or {}, timeout_ms=timeout_ms
        )  # fmt: skip
        return uvloop.run(courier.deliver(LETTER))  # as the kernel does

    return run


def script(folder: Path, text: str) -> str:
    path = folder / "page.py"
    path.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{text}\n")
    path.chmod(0o700)
    return str(path)


def gone(pid: int) -> bool:
    """Whether there is no such process; one that ends is waited for, through its end of a descriptor."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


def test_it_gets_the_notice_on_its_standard_input_and_an_environment_with_nothing_of_ours(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRYTANY_MODEL_KEY", "ours")
    path = script(tmp_path, "print(json.dumps([sys.stdin.read(), dict(os.environ), os.getcwd(), sys.argv[1:]]))")
    said, environment, folder, arguments = json.loads(deliver(path, "$HOME; `x`", secrets={"PAGER_KEY": "k3"}))
    assert said == LETTER.body.decode() + "\n", "a whole line"
    assert {key for key in environment if key != "LC_CTYPE"} == {"PATH", "LANG", "HOME", "PAGER_KEY", "PRYTANY_NOTICE"}
    assert environment["PRYTANY_NOTICE"] == LETTER.id
    assert (folder, arguments) == (str(tmp_path), ["$HOME; `x`"])


def test_what_it_prints_is_kept_up_to_a_bound_and_without_its_secrets(deliver: Deliver, tmp_path: Path) -> None:
    path = script(tmp_path, "print('x' * 2000, os.environ['KEY'] * 3, file=sys.stderr)")
    said = deliver(path, secrets={"KEY": SECRET})
    assert b"[KEY][KEY]" in said
    assert SECRET.encode()[:8] not in said
    assert len(said) <= limits.NOTICE_SAID_BYTES_MAX


@pytest.mark.parametrize(
    ("text", "cause"), [("sys.exit(1)", "exit 1"), ("os.kill(os.getpid(), 11)", "signal 11"), ("1/0", "exit 1")]
)
def test_one_that_fails_missed_the_notice_and_is_run_again(
    deliver: Deliver, tmp_path: Path, text: str, cause: str
) -> None:
    with pytest.raises(Missed) as missed:
        deliver(script(tmp_path, text))
    assert (missed.value.cause, missed.value.again) == (cause, True)


def test_one_that_is_not_there_or_cannot_be_executed_is_not_run_again(deliver: Deliver, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program\n")
    (tmp_path / "garbage").write_bytes(b"\x7fELF garbage")
    (tmp_path / "garbage").chmod(0o700)
    for name, cause in (("nothing-of-that-name", "not found"), ("text", "not found"), ("garbage", "not executable")):
        with pytest.raises(Missed) as missed:
            deliver(str(tmp_path / name))
        assert (missed.value.cause, missed.value.again) == (cause, False)
    with pytest.raises(Missed, match="not found"):
        deliver("nothing-of-that-name")


def test_one_that_never_ends_is_ended_with_all_that_it_started(deliver: Deliver, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        open('pid', 'w').write(str(os.getpid())); open('done', 'w').close()\n"
        "        while True: time.sleep(60)\n"
        "    os._exit(0)\n"
        "while True: time.sleep(60)",
    )
    with pytest.raises(Missed) as missed:
        deliver(path, timeout_ms=1_500)
    assert (missed.value.cause, missed.value.again) == ("timeout", True)
    assert gone(int((tmp_path / "pid").read_text())), "a daemon of it was left"


def test_one_whose_children_hold_the_pipe_open_is_done_when_it_ends_and_they_are_ended(
    deliver: Deliver, tmp_path: Path
) -> None:
    path = script(
        tmp_path,
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    open('pid', 'w').write(str(os.getpid())); os.write(w, b'x')\n"
        "    while True: time.sleep(60)\n"
        "os.read(r, 1); print('sent')",
    )
    assert deliver(path) == b"sent\n"
    assert gone(int((tmp_path / "pid").read_text()))


def test_one_that_prints_without_end_is_ended_soon(deliver: Deliver, tmp_path: Path) -> None:
    path = script(tmp_path, "while True: os.write(1, b'y' * 65536)")
    with pytest.raises(Missed) as missed:
        deliver(path)
    assert (missed.value.cause, missed.value.again) == ("it prints too much", False)
    assert len(missed.value.said) <= limits.NOTICE_SAID_BYTES_MAX


def test_one_that_reads_nothing_or_closes_everything_is_taken_by_its_status(deliver: Deliver, tmp_path: Path) -> None:
    assert deliver(script(tmp_path, "os.close(0); os.close(1); os.close(2); os._exit(0)")) == b""


def test_one_that_ignores_signals_is_ended_all_the_same(deliver: Deliver, tmp_path: Path) -> None:
    path = script(
        tmp_path,
        "import signal\n"
        "for n in (15, 14, 2, 1): signal.signal(n, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "while True: time.sleep(60)",
    )
    with pytest.raises(Missed, match="timeout"):
        deliver(path, timeout_ms=1_500)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_delivery_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    path = script(tmp_path, HANGS)

    async def main() -> None:
        task = asyncio.ensure_future(CommandCourier([path], folder=str(tmp_path)).deliver(LETTER))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # noqa: TID251 - another process is waited for
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert gone(int((tmp_path / "pid").read_text()))


def test_the_guard_ends_everything_when_the_kernel_is_killed(tmp_path: Path) -> None:
    path = script(tmp_path, HANGS)
    kernel = subprocess.Popen(
        [sys.executable, "-c",
         "import os, subprocess, sys\n"
         f"subprocess.run([sys.executable, '-I', '-S', {guard.__file__!r}, str(os.getpid()), '60', {path!r}])"],
        stdout=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    with kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == b"on\n"
        kernel.send_signal(signal.SIGKILL)
        kernel.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_secret_that_cannot_be_had_is_a_miss_and_nothing_is_run(tmp_path: Path) -> None:
    def none() -> dict[str, str]:
        raise Missed("no secret")

    with pytest.raises(Missed, match="no secret"):
        asyncio.run(CommandCourier(["/bin/true"], folder=str(tmp_path), secrets=none).deliver(LETTER))
