"""The unit that `service unit` prints, the image and the composition: what they name is there, and none is root's."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from prytany.abi.errors import Einval
from prytany.runtime import seccomp
from prytany.system.unit import CREDENTIALS, Facts, quoted, system_unit, user_unit
from tests.surfaces.commands import ROOT, command, here
from tests.surfaces.test_documents import parse

DEPLOY = ROOT / "deploy"
SHOWN = DEPLOY / "prytany-service.service"
SYSTEMD = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed here")
FACTS = Facts(
    ("/opt/prytany/bin/prytany",), "service", "/etc/prytany/fleet.yaml", 30, ("provider",),
    trusted=(
        "what is asked of the model default (large) is sent to https://models.example/v1, with the secret provider"
        " (the credential provider)",
    ),
)  # fmt: skip


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def denied() -> set[str]:
    """The calls that the unit's filter refuses, as systemd here knows their groups."""
    asked = [word.lstrip("~") for word in settings(system_unit(FACTS))["SystemCallFilter"][0].split()]
    names: set[str] = set()
    while asked:
        group = asked.pop()
        done = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
        for word in (line.strip() for line in done.stdout.splitlines()[1:]):
            if word.startswith("@"):
                asked.append(word)
            elif word and word[0] != "#":
                names.add(word)
    return names


def test_the_unit_that_the_repository_shows_is_the_one_that_is_printed() -> None:
    assert SHOWN.read_text() == system_unit(FACTS)


def test_a_unit_names_this_installation_the_fleet_and_its_credentials(tmp_path: Path) -> None:
    done = here("service", "unit", str(DEPLOY / "fleet"), "--drain", "7")
    unit = settings(done.stdout)
    (start,) = unit["ExecStart"]
    program, *words = shlex.split(start)
    assert os.access(program, os.X_OK)
    assert words == [
        "up",
        f"{DEPLOY}/fleet/fleet.yaml",
        "--home",
        "/var/lib/prytany-service",
        "--trust",
        "--drain",
        "7",
    ]
    parse(words)
    parse(shlex.split(unit["ExecReload"][0])[1:])
    assert unit["LoadCredential"] == [f"provider:{CREDENTIALS}/provider"]
    assert unit["TimeoutStopSec"] == ["37"]
    assert unit["DynamicUser"] == ["yes"]
    assert (unit["Type"], unit["KillMode"], unit["OOMPolicy"]) == (["notify"], ["mixed"], ["continue"])
    user = settings(here("service", "unit", str(DEPLOY / "fleet"), "--user", home=tmp_path / "my home").stdout)
    assert shlex.split(user["ExecStart"][0])[2:5] == [f"{DEPLOY}/fleet/fleet.yaml", "--home", f"{tmp_path}/my home"]
    assert not {"DynamicUser", "ProtectSystem", "CapabilityBoundingSet", "User"} & set(user)


def test_what_has_to_be_trusted_and_written_to_stands_in_the_unit(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "tools.py").write_text("from prytany import tool\n@tool(effect='pure')\ndef f() -> int:\n    'One.'\n")
    (tmp_path / "fleet.yaml").write_text(
        "version: 1\nname: f\ntools: {t: {python: tools.py}}\nmodels: {default: {driver: local}}\n"
        "agents: {a: {instruction: x, unveil: {out: rw}, tools: [t]}}\n"
    )
    done = json.loads(here("service", "unit", str(tmp_path), "--json").stdout)
    unit = settings(done["unit"])
    assert done["name"] == "prytany-f.service"
    assert f"# --trust: the tools in {tmp_path}/tools.py run outside of any confinement" in done["unit"]
    assert all(" --trust" in unit[key][0] for key in ("ExecStart", "ExecReload"))
    assert unit["ReadWritePaths"] == [f"-{tmp_path}/out"]
    assert unit["ExecStartPre"][0].endswith(" models fetch")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["unit", "nowhere"], "there is no fleet file"), (["unit", "{0}", "--home", "/x"], "below /var/lib"),
        (["unit", "{0}", "--drain", "-1"], "--drain"), (["nothing"], "No such command"),
    ],
)  # fmt: skip
def test_what_no_unit_can_be_made_of_is_said(words: list[str], expected: str) -> None:
    done = here("service", *(word.format(DEPLOY / "fleet") for word in words))
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/opt/a-b_c/x.yaml", "/opt/a-b_c/x.yaml"), ("/a b", '"/a b"'), ("/50%", "/50%%"),
        ('/"$x"\\', '"/\\"$$x\\"\\\\"'),
        ("/é", '"/é"'), ("/a;b", '"/a;b"'), ("", '""'),
    ],
)  # fmt: skip
def test_a_path_stays_one_word_that_means_itself(path: str, expected: str) -> None:
    assert quoted(path) == expected


@pytest.mark.parametrize("path", ["/a\nExecStart=/bin/sh", "/a\0", "/\x1b[1m", "/" + "x" * 5_000])
def test_a_path_that_no_unit_can_hold_is_refused(path: str) -> None:
    with pytest.raises(Einval):
        quoted(path)
    with pytest.raises(Einval):
        system_unit(FACTS._replace(target=path))
    assert "\nExecStart=/bin/sh" not in system_unit(FACTS._replace(trusted=(path,)))


@needs_systemd
@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
def test_systemd_finds_no_fault_with_it(tmp_path: Path, user: bool) -> None:
    odd = tmp_path / 'a "folder" of $5 and 50%'
    odd.mkdir()
    facts = FACTS._replace(program=(sys.executable, "-m", "prytany.cli"), target=f"{odd}/f.yaml", home=str(odd))
    facts = facts._replace(trusted=("a tool",), writes=(str(odd),))
    unit = tmp_path / "prytany-service.service"
    unit.write_text(user_unit(facts) if user else system_unit(facts))
    mode = ["--user"] if user else []
    done = subprocess.run(
        ["systemd-analyze", "verify", *mode, str(unit)], capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_a_kernel_confines_and_runs_a_program_under_the_unit_s_filter(tmp_path: Path) -> None:
    refused = denied()
    assert {"mount", "reboot", "ptrace", "swapon"} <= refused
    assert not refused & {*seccomp.ALLOWED, "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    (tmp_path / "hello.py").write_text(
        "from prytany import agent\n@agent(pledge='model')\nasync def main(proc):\n    return await proc.llm('hello')\n"
    )
    inside = (
        "import ctypes, errno, os, sys, pyseccomp as s\n"
        "rules = s.SyscallFilter(s.ALLOW)\n"
        "for name in sys.argv[1].split():\n"
        "    if s.resolve_syscall(s.Arch.NATIVE, name) > -1: rules.add_rule(s.ERRNO(errno.EPERM), name)\n"
        "for bit in (7, 17, 25, 26, 27, 28, 29, 30):\n"  # what RestrictNamespaces= refuses
        "    rules.add_rule(s.ERRNO(errno.EPERM), 'clone', s.Arg(0, s.MASKED_EQ, 1 << bit, 1 << bit))\n"
        "for name in ('unshare', 'setns'): rules.add_rule(s.ERRNO(errno.EPERM), name)\n"
        "rules.add_rule(s.ERRNO(errno.ENOSYS), 'clone3')\n"
        "rules.load(); os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    words = command("run", f"{tmp_path}/hello.py:main", "--model", "scripted", home=tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", inside, " ".join(sorted(refused)), *words], capture_output=True, text=True, timeout=60,
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "hello [1 words]\n"), done.stderr


def instructions() -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line and line[0] != "#"]


def test_the_image_is_pinned_copies_what_is_there_and_ends_as_an_ordinary_user() -> None:
    steps = instructions()
    bases = [rest for name, rest in steps if name == "FROM"]
    assert all(re.match(r"python:3\.1[123]\.\d+-slim-bookworm( AS \w+)?$", base) for base in bases), bases
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, rest in steps:
        assert name != "ADD"
        if name == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source.removeprefix("./"), pattern) for pattern in kept), source
    users = [rest for name, rest in steps if name == "USER"]
    assert users == ["10001:10001"]
    assert not [name for name, _ in steps[[n for n, _ in steps].index("USER") :] if name in ("RUN", "COPY")]
    pins = re.search(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert pins
    assert f"uv=={pins[1]}" in (ROOT / "Dockerfile").read_text()


@pytest.mark.slow
def test_what_the_image_installs_is_a_command_that_works(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not os.access(uv, os.X_OK):
        pytest.skip("there is no uv here")
    for name, rest in instructions()[: [name for name, _ in instructions()].index("FROM", 1)]:
        if name == "COPY":
            for source in rest.split()[:-1]:
                copied = ROOT / source
                (shutil.copytree if copied.is_dir() else shutil.copy)(copied, tmp_path / source)
    environment = {"UV_LINK_MODE": "copy", "UV_PROJECT_ENVIRONMENT": str(tmp_path / "opt")}
    (words,) = [shlex.split(rest) for name, rest in instructions() if name == "RUN" and rest.startswith("uv ")]
    subprocess.run([uv, *words[1:]], check=True, cwd=tmp_path, env={**os.environ, **environment}, timeout=600)
    done = subprocess.run([tmp_path / "opt/bin/prytany", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("prytany ")


def test_what_the_image_runs_are_commands_of_ours() -> None:
    steps = dict(instructions())
    assert json.loads(steps["ENTRYPOINT"]) == ["prytany"]
    parse(json.loads(steps["CMD"]))
    check = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    assert check[0] == "prytany"
    parse(check[1:])
    assert steps["STOPSIGNAL"] == "SIGTERM"


def test_the_composition_gives_time_to_drain_and_names_what_is_there() -> None:
    composed: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    service = composed["services"]["prytany"]
    parse(service["command"])
    assert int(service["stop_grace_period"].removesuffix("s")) > int(service["command"][-1])
    assert (DEPLOY / service["build"]["context"] / "Dockerfile").exists()
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert source in composed["volumes"] or (DEPLOY / source).is_dir(), volume
    assert set(service["secrets"]) == set(composed["secrets"])
    assert "privileged" not in service
    assert service["cap_drop"] == ["ALL"]


def test_the_fleet_of_the_composition_is_sound_and_takes_its_key_from_where_it_is_given() -> None:
    done = here("fleet", "show", str(DEPLOY / "fleet"), "--resolved", "--json")
    fleet = json.loads(done.stdout)
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert [secret["credential"] for secret in fleet["secrets"].values()] == list(composed["secrets"])
