"""What is prepared before a fork asks the machine until a process has a record, which is its alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MODULE = """
import datetime, threading
from os import fork, getpid, urandom
from random import Random
from time import monotonic_ns, sleep, time
from uuid import uuid1, uuid4


def said():
    return [
        time(), monotonic_ns(), getpid(), urandom(8).hex(), Random().random(), str(uuid1()), str(uuid4()),
        datetime.datetime.now(datetime.UTC).timestamp(),
    ]


def refused():
    for attempt in (lambda: sleep(0), fork, threading.Thread(target=said).start):
        try:
            attempt()
        except Exception as error:
            yield error.errno
        else:
            yield "done"
"""
SCRIPT = """
import importlib, json, os, sys, time
sys.path.insert(0, sys.argv[1])
import early
from prytany.runtime import determinism
real_pid, real_ns, real_fork = os.getpid, time.monotonic_ns, os.fork
if sys.argv[2] == "before":
    determinism.prepare()
import between


def child(seed, install=True):
    reading, writing = os.pipe()
    if (child_pid := os.fork()) == 0:
        from_ns = real_ns()
        if install:
            determinism.install(now_ns=lambda: 5 * 10**9, start_ns=lambda: 10**9, seed=seed, pid=7)
        late = importlib.import_module("late")
        modules = (early, between, late)
        report = {
            "said": [module.said() for module in modules],
            "refused": [list(module.refused()) for module in modules] if install else [],
            "machine": [from_ns, real_ns(), real_pid()],
        }
        os.write(writing, json.dumps(report).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        report = json.load(file)
    assert os.waitpid(child_pid, 0) == (child_pid, 0)
    return report


children = [child(b"a"), child(b"a"), child(b"b"), child(b"", install=False)]
from_ns = real_ns()
own = [early.said(), between.said()]
early.sleep(0)
thread = early.threading.Thread(target=early.said)
thread.start()
thread.join()
print(json.dumps([children, own, [from_ns, real_ns(), real_pid()]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three modules that take by name what a record stands in for."""
    made = tmp_path_factory.mktemp("modules")
    for name in ("early", "between", "late"):
        (made / f"{name}.py").write_text(MODULE)
    return made


def forks(folder: Path, how: str) -> Any:
    """What four children of one process said, one after the other, and then itself."""
    command = [sys.executable, "-c", SCRIPT, str(folder), how]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def assert_is_the_machine(said: list[list[Any]], machine: list[int]) -> None:
    from_ns, to_ns, pid = machine
    for _wall, monotonic_ns, own_pid, *_, now in said:
        assert from_ns <= monotonic_ns <= to_ns
        assert own_pid == pid
        assert now > 5
    for drawn in zip(*(one[3:7] for one in said), strict=True):
        assert len(set(drawn)) == len(said), "chance repeats itself"


def test_each_fork_has_its_own_record_or_none_and_who_forks_has_none(folder: Path) -> None:
    (one, same, other, unarmed), own, machine = forks(folder, "before")
    assert [said[:3] for said in one["said"]] == [[5.0, 4 * 10**9, 7]] * 3
    assert [said[-1] for said in one["said"]] == [5.0] * 3
    assert one["refused"] == [["EPERM"] * 3] * 3, "taken before, between or after, by name or by module"
    assert same["said"] == one["said"]
    assert other["said"] != one["said"]
    assert_is_the_machine(unarmed["said"], unarmed["machine"])
    assert_is_the_machine(own, machine)


def test_what_was_prepared_before_the_fork_says_what_is_said_when_it_is_not(folder: Path) -> None:
    before, _, _ = forks(folder, "before")
    after, _, _ = forks(folder, "in the child")
    assert [child["said"] for child in before[:3]] == [child["said"] for child in after[:3]]
    assert [child["refused"] for child in before[:3]] == [child["refused"] for child in after[:3]]
