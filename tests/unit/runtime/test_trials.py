"""What confinement rests on is really tried, on the machine and under what Docker gives a container."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pyseccomp
import pytest

from prytany.runtime import docker, seccomp, trials, trying
from prytany.runtime.trials import Ready, attempt, prepare
from tests.surfaces.commands import ROOT, command

READY = Ready(-1, None, "no ruleset here", False)
libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int) -> None:
    """The system call itself; raises what it is refused with."""
    if libc.syscall(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name), *map(ctypes.c_long, arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)


def test_all_of_it_works_where_these_tests_run() -> None:
    checks = trying.try_out("machine")
    assert len(checks) == len(trials.TRIALS) - (os.geteuid() != 0)
    assert [check for check in checks if check.required and not check.ok] == []


def test_a_container_can_confine_for_an_ordinary_user_and_has_no_user_namespaces() -> None:
    checks = {check.name: check for mode in trying.modes(docker=True) for check in trying.try_out(mode)}
    user = trying.NAMES["docker-user" if os.geteuid() == 0 else "docker"]
    assert {c.name: c.missing for c in checks.values() if c.name.startswith(user) and c.required and not c.ok} == {}
    refused = checks[f"{user}{trying.TRIALS['user namespaces'].what}"]
    assert (refused.ok, refused.missing.partition(":")[0]) == (False, "EPERM")
    assert "seccomp=unconfined" in refused.mend


def test_the_profile_refuses_nothing_that_a_worker_may_and_names_only_what_there_is() -> None:
    assert not docker.REFUSED & seccomp.ALLOWED
    for name in docker.REFUSED:
        assert pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) != -1, name


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("unshare", (0x10000000,), "EPERM"), ("io_uring_setup", (1, 0), "EPERM"), ("keyctl", (0, 0), "EPERM"),
        ("clone", (0x10000000 | 17, 0, 0, 0, 0), "EPERM"), ("clone3", (0, 0), "ENOSYS"), ("setns", (0, 0), "EPERM"),
        ("memfd_create", (0, 0), "EFAULT"), ("getpid", (), ""),
    ],
)  # fmt: skip
def test_the_profile_answers_as_docker_s_does(name: str, arguments: tuple[int, ...], expected: str) -> None:
    def trial(ready: Ready) -> None:
        libc.prctl(38, 1, 0, 0, 0)
        docker.compile_profile().install()
        call(name, *arguments)

    assert attempt(trial, READY).partition(":")[0] == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to lose")
def test_root_keeps_docker_s_capabilities_and_no_others() -> None:
    def trial(ready: Ready) -> None:
        docker.enter(docker.compile_profile(), as_user=False)
        held = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line[:4] == "CapE"]
        raise OSError(errno.EPERM, held[0])

    expected = sum(1 << capability for capability in docker.CAPABILITIES)
    assert attempt(trial, READY) == f"EPERM: {expected:016x}"


def test_a_kernel_runs_a_program_in_a_worker_under_the_profile(tmp_path: Path) -> None:
    words = command("run", f"{tmp_path}/hello.py:main", "--model", "scripted", home=tmp_path / "home")
    (tmp_path / "hello.py").write_text(
        "from prytany import agent\n@agent(pledge='model')\nasync def main(proc):\n    return await proc.llm('hello')\n"
    )
    inside = (
        "import ctypes, os, sys; from prytany.runtime import docker; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0);"
        "docker.compile_profile().install(); os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", inside, *words], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout) == (0, "hello [1 words]\n"), done.stderr


def test_what_was_never_built_is_said_and_what_ends_its_process_too() -> None:
    assert attempt(trials.landlock_, READY) == "ENOSYS: no ruleset here"
    assert attempt(trials.worker, READY) == "ENOSYS: no ruleset here"
    assert "it ended the process that tried it" in attempt(lambda ready: os._exit(3), READY)
    assert "it ended the process that tried it" in attempt(lambda ready: os.kill(os.getpid(), 9), READY)


def test_a_confinement_that_holds_nothing_back_is_no_confinement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prytany.runtime.landlock.restrict_self", lambda ruleset: None)
    monkeypatch.setattr(seccomp.Filter, "install", lambda self: None)
    ready = prepare()
    assert "held nothing back" in attempt(trials.landlock_, ready)
    assert "held nothing back" in attempt(trials.seccomp_, ready)
    os.close(ready.ruleset)


@pytest.mark.parametrize("executable", ["/bin/false", "/bin/true", "/bin/echo", "/nowhere/python"])
def test_trials_that_cannot_be_run_are_missing(executable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    (check,) = trying.try_out("machine")
    assert (check.ok, check.required) == (False, True)
    assert check.missing
    assert check.mend


def test_every_trial_is_explained() -> None:
    assert set(trying.TRIALS) == set(trials.TRIALS)
    assert all(trial.mend and trial.in_docker for trial in trying.TRIALS.values())
