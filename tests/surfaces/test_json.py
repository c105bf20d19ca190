"""Every command has --json: nothing but JSON on both streams, of the shape that the manual gives, errors as well."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prytany.abi.errors import ERRORS
from prytany.cli.main import app, perform
from prytany.system.logs import Logs
from tests.surfaces.homes import make_home
from tests.surfaces.test_documents import commands
from tests.tidy.repository import ROOT

LEFT = str(ROOT / "tests" / "surfaces" / "programs" / "left.py")
PAGE = (ROOT / "docs" / "manual" / "json.md").read_text()
LEAVES = [name for name, _ in commands(app) if name not in ("fleet", "models", "journal", "service")]
ERROR = {"errno", "message", "retryable", "detail", "next"}


class Told(NamedTuple):
    """What a command said."""

    code: int
    out: list[dict[str, Any]]
    err: list[dict[str, Any]]


def tell(capsys: pytest.CaptureFixture[str], *arguments: str) -> Told:
    """A command in this process, with --json."""
    capsys.readouterr()
    code = perform([*arguments, "--json"])
    said = capsys.readouterr()
    return Told(code, *([json.loads(line) for line in text.splitlines()] for text in said))


def documented(command: str) -> set[str]:
    """The fields that the manual gives a command."""
    for line in PAGE.splitlines():
        _, names, *fields = (*line.split("|"), "", "")
        said = re.findall(r"`([a-z -]+)`", names)
        group = said[0].rpartition(" ")[0] if said else ""
        if command in said or (group and command in {f"{group} {name}" for name in said}):
            return set(re.findall(r"`([a-z_]+)`", "|".join(fields)))
    raise AssertionError(f"{command} is not in the manual")


def test_every_command_has_it_and_its_shape_is_documented() -> None:
    without = [name for name, options in commands(app) if "--json" not in options]
    assert without == ["fleet", "journal", "models", "service"]
    for name in LEAVES:
        assert documented(name) or name in ("inspect",), name


def test_what_is_told_of_a_home_has_the_fields_of_the_manual(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    make_home(home, count=2)
    Logs(home).path(1).write_text("one\n\x1b[2Jtwo\n")
    monkeypatch.setenv("PRYTANY_HOME", str(home))
    monkeypatch.setenv("SHOP_KEY", "a key")
    lines = {
        "ps": ("ps", 2), "tree": ("tree", 2), "cost": ("cost --by agent,model,day,run,tag", 1),
        "inspect": ("inspect 1", 1), "logs": ("logs 1", 2), "wait": ("wait 1", 1),
        "journal head": ("journal head", 1), "journal verify": ("journal verify", 1), "doctor": ("doctor", None),
        "completion": ("completion bash", 1), "incidents": ("incidents", 0), "trace": ("trace 1", None),
        "tools": (f"tools --tools {ROOT / 'examples/orders/tools/shop.py'}", None),
        "backup": (f"backup {tmp_path / 'b'} --verify", 1),
        "restore-home": (f"restore-home {tmp_path / 'b'} --home {tmp_path / 'new'}", 1),
        "journal archive": (f"journal archive --before 3 --to {tmp_path / 'a'}", 1),
        "journal collect": ("journal collect", 1),
        "journal keep": (f"journal keep --to {tmp_path / 'kept'}", 1), "journal forget": ("journal forget 1", 1),
        "resume": ("resume", 0), "why": ("why 1", 1), "budget": ("budget --all", 2), "schedule": ("schedule 1", 1),
        "sched": ("sched", 0), "publish": ("publish a.b n=1 --of 1", 1), "topics": ("topics", 1),
        "triggers": ("triggers", 0), "topics tail": ("topics tail", 1), "models queue": ("models queue", 0),
        "locks": ("locks", 0), "shared": ("shared", 0), "mail": ("mail", 0), "mail dead": ("mail dead", 0),
    }  # fmt: skip
    for name, (line, count) in lines.items():
        told = tell(capsys, *shlex.split(line))
        assert told.code in ((0, 1) if name == "doctor" else (0,)), (name, told)
        assert len(told.out) == count if count is not None else told.out, (name, told)
        assert all("note" in beside for beside in told.err), name
        if name not in ("inspect", "trace", "tools", "tree"):
            for row in told.out:
                assert row.keys() <= documented(name), name


def test_a_run_tells_its_end_and_what_it_does_as_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prytany.cli", "run", LEFT + ":alone", "--model", "scripted", "--json"]
    done = subprocess.run(
        [*command, "--home", str(tmp_path / "home")], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == {
        "pid": 1, "status": 0, "signal": 0, "reason": "returned", "result": 2, "error": None,
    }  # fmt: skip
    notes = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(note["pid"], note["name"], note["note"]) for note in notes if "pid" in note] == [
        (1, "alone", "starts"), (1, "alone", "ends: returned (status 0)"),
    ]  # fmt: skip
    assert (notes[-1]["run"], notes[-1]["took"]["model_calls"], notes[-1]["took"]["processes"]) == (1, 0, 1)


WRONG = [
    ("init a b", "EINVAL"), ("init /proc/nowhere", "EINVAL"),
    ("run nowhere.py:main", "ENOENT"), (f"run {'a' * 5_000}.py:main", "ENOENT"), ("run", "ENOENT"),
    ("run x --nope", "EINVAL"), ("resume", "ENOENT"),
    ("ps", "ENOENT"), ("ps --run x", "EINVAL"), ("ps --state odd", "EINVAL"), ("tree", "ENOENT"), ("tree x", "EINVAL"),
    ("status", "ENOENT"), ("cost", "ENOENT"), ("cost --by tags", "EINVAL"), ("cost --by model,,day", "EINVAL"),
    ("cost --since never", "EINVAL"), ("logs x", "EINVAL"), ("logs 1 --since soon", "EINVAL"),
    ("logs 1 --grep (", "EINVAL"), ("logs 1 -n -1", "EINVAL"), (f"logs 1 --grep {'a' * 2_000}", "EINVAL"),
    ("stop 1", "ENOENT"), ("stop", "EINVAL"), ("stop x", "ENOENT"), ("stop 1 --grace nan", "EINVAL"),
    ("stop 1 --grace -1", "EINVAL"), ("pause", "EINVAL"), ("pause 1", "ENOENT"), ("pause --run x", "EINVAL"),
    ("unpause", "EINVAL"), ("unpause 0", "EINVAL"), ("freeze", "ENOENT"), ("freeze --thaw now", "EINVAL"),
    ("inspect 1", "ENOENT"), ("inspect x", "ENOENT"), ("inspect 1x", "EINVAL"), ("trace 1", "ENOENT"),
    ("logs 1", "ENOENT"),
    ("chat", "ENOENT"), ("attach 1", "EAGAIN"), ("attach", "EAGAIN"), ("attach x", "EINVAL"),
    ("chat --grace -1", "EINVAL"), ("sessions", "ENOENT"), ("sessions end 1", "ENOENT"), ("sessions end x", "EINVAL"),
    ("sessions end", "EINVAL"), ("up nowhere", "ENOENT"), ("down", "ENOENT"),
    ("fleet check", "ENOENT"), ("fleet show nowhere.yaml", "ENOENT"), ("fleet schema x", "EINVAL"),
    ("send 1 hello {}", "ENOENT"), ("send 1x hello {}", "EINVAL"),
    ("send x hello {}", "ENOENT"), ("send 1", "EINVAL"),
    ("upgrade 1", "ENOENT"), ("upgrade 1 nothing", "EINVAL"), ("trace 1 --call nothing", "EINVAL"),
    ("kill 1", "ENOENT"), ("kill 1 -s BOOM", "EINVAL"), ("kill", "EINVAL"), ("wait 1", "ENOENT"), ("wait x", "EINVAL"),
    ("incidents", "ENOENT"), ("incidents retry 1 1", "ENOENT"), ("incidents skip 1 x", "EINVAL"),
    ("incidents give 1 1 { --from-json", "EINVAL"), ("journal head", "ENOENT"), ("journal verify", "ENOENT"),
    ("journal verify --head 1", "EINVAL"), ("journal keep --to x", "ENOENT"), ("journal keep", "EINVAL"),
    ("journal forget 1", "ENOENT"), ("tools", "EINVAL"), ("tools --tools nowhere.py", "ENOENT"),
    ("models nope", "EINVAL"), ("models list --fleet nowhere.yaml", "ENOENT"), ("models check nowhere", "ENOENT"),
    ("models check scripted", "EINVAL"), ("models try nowhere", "ENOENT"), ("models try", "EINVAL"),
    ("models try scripted --timeout 0", "EINVAL"), ("models remove nowhere", "ENOENT"),
    ("models remove scripted --yes", "EINVAL"), ("models remove /etc/passwd --yes", "EACCES"),
    ("backup b", "ENOENT"), ("backup", "EINVAL"), ("restore-home b", "ENOENT"), ("restore-home", "EINVAL"),
    ("journal archive --before 2 --to a", "ENOENT"), ("journal archive", "EINVAL"), ("journal collect", "ENOENT"),
    ("journal collect --before then", "EINVAL"), ("journal rebase", "EINVAL"), ("journal rebase --archive a", "ENOENT"),
    ("why 1", "ENOENT"), ("why 1x", "EINVAL"), ("sched", "ENOENT"), ("models queue", "ENOENT"), ("budget", "ENOENT"),
    ("budget 1 --add tokens=x", "EINVAL"), ("budget --add tokens=1", "EINVAL"), ("budget 1 --set gold=1", "EINVAL"),
    ("budget 1 --add usd=1 --set usd=1", "EINVAL"), ("budget 1 --account run", "EINVAL"), ("schedule 1", "ENOENT"),
    ("schedule 1 --qos royal", "EINVAL"), ("schedule 1 --deadline soon", "EINVAL"), ("schedule", "EINVAL"),
    ("cost --estimate nowhere.py:main", "ENOENT"), ("cost --estimate x --by day", "EINVAL"),
    ("run nowhere.py:main --budget gold=1", "EINVAL"), ("chat --budget tokens=", "EINVAL"),
    ("locks", "ENOENT"), ("locks break", "EINVAL"), ("locks break x", "ENOENT"), ("shared", "ENOENT"),
    ("shared x", "ENOENT"),
    ("mail", "ENOENT"), ("mail x y", "EINVAL"), ("mail dead", "ENOENT"), ("mail dead x", "EINVAL"),
    ("mail dead 0", "EINVAL"), ("mail retry", "EINVAL"), ("mail retry 1", "ENOENT"), ("mail retry x", "EINVAL"),
    ("mail retry 99999999999999999999", "EINVAL"), ("mail drop", "EINVAL"), ("mail drop 1 --all", "EINVAL"),
    ("mail drop --all", "ENOENT"),
    ("notify", "ENOENT"), ("notify retry", "ENOENT"),
    ("notify retry 0", "EINVAL"), ("notify drop x", "EINVAL"), ("notify drop 99999999999999999999", "EINVAL"),
    ("notify test nowhere", "ENOENT"),
    ("topics", "ENOENT"), ("topics tail", "ENOENT"), ("topics tail a..b --since soon", "EINVAL"),
    ("topics tail > --since 0", "EINVAL"), ("publish a.b", "ENOENT"), ("publish a.b =1", "EINVAL"),
    ("publish a.b x=1 x=2", "EINVAL"), ("publish", "EINVAL"),
    ("triggers", "ENOENT"), ("triggers on x", "ENOENT"), ("triggers off", "EINVAL"),
    ("models nope", "EINVAL"),
    ("completion tcsh", "EINVAL"), ("nope", "EINVAL"), ("doctor --home x", "EINVAL"),
    ("service unit", "ENOENT"), ("service unit --drain -1", "EINVAL"), ("up --drain 1.5", "EINVAL"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "errno"), WRONG, ids=[line[:40] for line, _ in WRONG])
def test_an_error_says_what_is_wrong_and_what_to_do_next(
    tmp_path: Path, line: str, errno: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRYTANY_HOME", str(tmp_path / "home"))
    told = tell(capsys, *shlex.split(line))
    assert told.out == []
    error = told.err[-1]
    assert error.keys() - {"pid", "file"} == ERROR
    assert (error["errno"], error["retryable"]) == (errno, ERRORS[errno].retryable)
    assert error["message"]
    assert error["next"]
    assert told.code == perform(shlex.split(line)) != 0
    said = capsys.readouterr()
    assert said.out == ""
    assert error["message"] in said.err
    assert f"next: {error['next']}" in said.err
    assert list(tmp_path.iterdir()) == []


def test_every_command_that_can_go_wrong_is_among_these() -> None:
    tried = {line for line, _ in WRONG}
    assert [name for name in LEAVES if not any(line == name or line.startswith(f"{name} ") for line in tried)] == [
        "models fetch"
    ]


@pytest.mark.parametrize("arguments", [["--help"], ["trace", "1"], ["journal", "verify", "--json"]])
def test_a_reader_that_went_away_ends_a_command_without_a_word(tmp_path: Path, arguments: list[str]) -> None:
    make_home(tmp_path / "home", count=1)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "prytany.cli", *arguments], stdout=nobody, stderr=subprocess.PIPE, timeout=60,
            check=False, env={**os.environ, "PRYTANY_HOME": str(tmp_path / "home")},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")
