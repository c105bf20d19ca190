"""A kernel that a service manager runs: it says that it is ready and lives, and drains when it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.surfaces.commands import ROOT, command, here, prytany

FLEET = """
version: 1
name: shift
models: {default: {driver: scripted, file: script.json}}
tools: {env: {python: env.py}}
agents:
  worker: {program: work.py:work, service: true, tools: [env.look]}
"""
WORK = """
import os
from prytany import agent

@agent(pledge="model tools proc")
async def work(proc):
    one = await proc.llm("SPEED one")
    return [one, await proc.tools.env.look(), sorted(os.environ), await proc.llm("two")]
"""
ENV = """
import os
from prytany import tool

@tool(effect="pure")
def look() -> list[str]:
    "Says what its environment holds."
    return sorted(os.environ)
"""
SCRIPT = {
    "rules": [
        {"when": "slowly", "latency_ms": 60_000, "text": "late"},
        {"when": "briefly", "latency_ms": 800, "text": "soon"},
    ]
}
READY_S = 30.0


def fleet(folder: Path, speed: str) -> Path:
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    (folder / "work.py").write_text(WORK.replace("SPEED", speed))
    (folder / "env.py").write_text(ENV)
    return folder


@contextmanager
def manager(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.settimeout(READY_S)
        yield listener


@contextmanager
def kernel(folder: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command("up", str(folder), "--trust", *words, home=folder / "home"), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment},
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def until_said(running: subprocess.Popen[str], text: str) -> None:
    assert running.stderr is not None
    while text not in (line := running.stderr.readline()):
        assert line, running.communicate()


def until_ready(told: socket.socket) -> str:
    while "READY=1" not in (message := told.recv(4_096).decode()):
        assert "EXTEND_TIMEOUT_USEC=" in message or message.startswith("STATUS="), message
    return message


def trace(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in here("trace", "1", "--json", home=folder / "home").stdout.splitlines()]


def test_a_call_under_way_ends_before_the_kernel_does_and_the_next_kernel_goes_on(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "briefly")
    with kernel(folder) as running:
        if os.geteuid() == 0:
            until_said(running, "this kernel is root's")
        until_said(running, "asks the model")
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert "draining for up to 30 s: 1 call of a model" in said
    assert "stopped; go on with: prytany up" in said
    assert [row["call"] for row in trace(folder) if row["event"] == "call.opened"] == ["model_chat"]
    with manager(folder) as told, kernel(folder, NOTIFY_SOCKET=told.getsockname()) as running:
        until_ready(told)
        done = prytany("wait", "1", "--json", home=folder / "home")
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 0
    one, tool, worker, two = json.loads(done.stdout)["result"]
    assert (one, two) == ("soon", "two [1 words]")
    assert "NOTIFY_SOCKET" not in {*tool, *worker}
    assert [row.get("cause", "") for row in trace(folder) if row["event"] == "model.used"] == ["", ""]


def test_the_manager_hears_that_it_is_ready_and_lives_until_it_stands_still(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "slowly")
    with manager(folder) as told, kernel(folder, NOTIFY_SOCKET=told.getsockname(), WATCHDOG_USEC="300000") as running:
        said = until_ready(told)
        assert "STATUS=shift up; 1 process, 1 running" in said
        status = here("status", "--json", home=folder / "home")
        assert (status.returncode, json.loads(status.stdout)["fleets"][0]["name"]) == (0, "shift")
        until_said(running, "asks the model")
        for _ in range(3):
            assert "WATCHDOG=1" in told.recv(4_096).decode()
        running.send_signal(signal.SIGSTOP)
        told.settimeout(0.6)
        try:
            while told.recv(4_096):
                pass
        except TimeoutError:
            pass
        running.send_signal(signal.SIGCONT)
        assert "WATCHDOG=1" in told.recv(4_096).decode()
        running.send_signal(signal.SIGTERM)
        told.settimeout(READY_S)
        while "STOPPING=1" not in (message := told.recv(4_096).decode()):
            assert message
        assert f"EXTEND_TIMEOUT_USEC={(30 + 30) * 1_000_000}" in message
        until_said(running, "draining for up to 30 s: 1 call of a model")
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
    assert (running.returncode, "stopped in the middle of 1 call of a model" in said) == (130, True)


def test_a_drain_of_no_time_and_one_that_is_over_cut_and_say_so(tmp_path: Path) -> None:
    for drain in ("0", "1"):
        (tmp_path / drain).mkdir()
        with kernel(fleet(tmp_path / drain, "slowly"), "--json", "--drain", drain) as running:
            until_said(running, "asks the model")
            running.send_signal(signal.SIGTERM)
            _, said = running.communicate(timeout=60)
        last = json.loads(said.splitlines()[-1])
        assert (running.returncode, last["cut"]["models"]) == (130, 1), said


def test_a_stop_while_the_fleet_is_brought_is_a_stop(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "slowly")
    (folder / "env.py").write_text(f"import time\ntime.sleep(60)\n{ENV}")
    with manager(folder) as told, kernel(folder, NOTIFY_SOCKET=told.getsockname()) as running:
        while "EXTEND_TIMEOUT_USEC=" not in (message := told.recv(4_096).decode()):
            assert message == "STATUS=opening the journal\n"
        assert "READY" not in message
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=20)
        assert "STOPPING=1" in told.recv(4_096).decode()
    assert (running.returncode, "stopped; go on with" in said) == (0, True)


def test_a_stop_while_the_home_is_opened_ends_the_process_there_and_then(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "slowly")
    opening = (
        "import sys, time\n"
        "import prytany.cli.up as up\n"
        "async def opens(*given, **more):\n"
        "    print('opening', flush=True)\n"
        "    time.sleep(60)\n"
        "up.open_shard = opens\n"
        "from prytany.cli.main import main\n"
        "main()\n"
    )
    words = [sys.executable, "-c", opening, *command("up", str(folder), "--trust", home=tmp_path / "home")[3:]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "opening\n"
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=20)
    assert running.returncode == 143
    assert said.splitlines()[-1] == "stopped while it was opening its home; nothing is lost"


def test_a_hang_up_while_the_home_is_opened_is_held_and_obeyed_when_it_is_open(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "slowly")
    opening = (
        "import sys, time\n"
        "import prytany.cli.up as up\n"
        "opens = up.open_shard\n"
        "async def slowly(*given, **more):\n"
        "    print('opening', flush=True)\n"
        "    sys.stdin.read()\n"
        "    return await opens(*given, **more)\n"
        "up.open_shard = slowly\n"
        "from prytany.cli.__main__ import main\n"
        "main()\n"
    )
    words = [sys.executable, "-c", opening, *command("up", str(folder), "--trust", home=tmp_path / "home")[3:]]
    with (
        manager(folder) as told,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": told.getsockname()},
        ) as running,
    ):  # fmt: skip
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline() == "opening\n"
        for _ in range(3):
            running.send_signal(signal.SIGHUP)
        (folder / "fleet.yaml").write_text(FLEET + "  another: {program: work.py:work}\n")
        running.stdin.close()
        while "RELOADING=1" not in (message := told.recv(4_096).decode()):
            assert "STOPPING" not in message
        while "READY=1" not in told.recv(4_096).decode():
            pass
        (up,) = json.loads(here("status", "--json", home=folder / "home").stdout)["fleets"]
        assert sorted(up["agents"]) == ["another", "worker"]
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGHUP)
        assert running.wait(60) in (0, 130)


def test_a_drain_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    for drain in ("-1", "86401", "1e3", "inf", "nan", "", "9" * 40):
        done = here("up", str(tmp_path), "--drain", drain, "--json", home=tmp_path / "home")
        assert (done.returncode, json.loads(done.stderr)["errno"]) == (2, "EINVAL"), drain


def test_a_manager_that_cannot_be_told_stops_nothing(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "briefly")
    with kernel(folder, NOTIFY_SOCKET=str(tmp_path / "nobody"), WATCHDOG_USEC="nonsense") as running:
        until_said(running, "the service manager cannot be told: No such file or directory")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 0


def test_a_fleet_is_brought_again_though_nobody_reads_any_more_what_changes(tmp_path: Path) -> None:
    folder = fleet(tmp_path, "briefly")
    with manager(folder) as told, kernel(folder, NOTIFY_SOCKET=told.getsockname()) as running:
        until_ready(told)
        assert running.stdout is not None
        running.stdout.close()
        (folder / "fleet.yaml").write_text(FLEET + "  another: {program: work.py:work}\n")
        running.send_signal(signal.SIGHUP)
        while "RELOADING=1" not in (message := told.recv(4_096).decode()):
            assert message
        while "READY=1" not in (message := told.recv(4_096).decode()):
            assert message
        (up,) = json.loads(here("status", "--json", home=folder / "home").stdout)["fleets"]
        assert sorted(up["agents"]) == ["another", "worker"]
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
