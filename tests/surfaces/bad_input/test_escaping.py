"""What agents, models, tools and files call themselves and say is planted once; no surface lets it through."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prytany.abi import events as ev
from prytany.abi.control import Change, Plan, Said
from prytany.abi.errors import KernelError
from prytany.abi.program import pack_program
from prytany.cli.live import LiveProgress
from prytany.cli.plan import show_plan
from prytany.cli.progress import Progress
from prytany.cli.screen import Screen
from prytany.cli.text import say
from prytany.drivers.models.scripted import Rule, ScriptedFailure, ScriptedModel
from prytany.kernel.fleets import Agent
from prytany.kernel.outcome import Program
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from tests.surfaces.bad_input.sweep import LEAVES, Told, assert_clean, tell
from tests.surfaces.homes import spawn

EVIL = "evil\x1b[31m\x1b]52;c;aGk=\x07\x1b]8;;x:y\x1b\\\x9b2J\x85\x08\r\u202e\u2066\u200b\ufeff\u2028end"
MARK = "evil"
"""That it is shown at all is looked for by this."""
PROGRAM = "async def planted(proc): ...\nasync def stuck(proc): ...\nasync def quick(proc): ...\n"
PROGRAM += "async def sharing(proc): ...\nasync def waiting(proc): ...\n"
OWN = re.compile(r"\r?\x1b\[\??[0-9;]*[A-Za-z]")
"""What colours and bars are made of; of what is planted, more than that would be left."""
RULES = [
    Rule("refuse", failure=ScriptedFailure("bad_key", EVIL)), Rule("", text=EVIL),
]  # fmt: skip


async def quick(proc: Any) -> str:
    return EVIL


async def stuck(proc: Any) -> None:
    await proc.llm("refuse")


async def sharing(proc: Any) -> None:
    await proc.shared.write(EVIL[:30], {EVIL: EVIL})
    await proc.lock(EVIL[:30]).acquire()
    await proc.lock(EVIL[30:]).acquire()
    await proc.spawn(":waiting", name=EVIL[:40], pledge="ipc")
    await proc.shared.wait(EVIL[:30], after=1)


async def waiting(proc: Any) -> None:
    await proc.lock(EVIL[:30]).acquire()


async def planted(proc: Any) -> None:
    """Has a child of that name, talks like that with a model and with the child, and fails like that."""
    await proc.spawn(":stuck", name=EVIL[:40], pledge="model")
    child = await proc.spawn(":quick", name=EVIL[40:], pledge="ipc")
    await proc.llm(EVIL)
    with contextlib.suppress(KernelError):
        await proc.calls.message_send(child, EVIL[:30], {EVIL: EVIL})
    await proc.calls.timer_wait(1)
    raise RuntimeError(EVIL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of that name, with a home in it in which all is planted."""
    folder = tmp_path_factory.mktemp("planted") / EVIL
    folder.mkdir()
    home = folder / "home"
    (folder / "program.py").write_text(PROGRAM)

    async def run() -> None:
        bodies = {"planted": planted, "stuck": stuck, "quick": quick, "sharing": sharing, "waiting": waiting}
        programs = {f"{folder / 'program.py'}:{name}": body for name, body in bodies.items()}
        shard = await Shard.open(
            home, {"": ScriptedModel(RULES, name=EVIL)}, runners=lambda logs: {"inline": InlineRunner(programs)}
        )
        kernel = shard.kernel
        await kernel.operator.wait_ended(spawn(shard, home, "planted", pledge=("proc", "model", "ipc")))
        spawn(shard, home, "sharing", pledge=("proc", "ipc"))
        source = pack_program((folder / "program.py").read_bytes(), [])
        program = Program(f"{folder / 'program.py'}:stuck", "stuck", source, ("model",))
        number = kernel.fleet_operator.declare(
            EVIL, [Agent(EVIL, "inline", program, about=EVIL)], models={}, tools=[], resolved=b"", uid=0, stays=True
        )
        kernel.fleet_operator.start(number, EVIL, [], {}, uid=0)
        while len(kernel.table.incidents) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, no time
        await shard.close()

    asyncio.run(run())
    for name in ("1", "tools.shop"):
        Logs(home).append(name if name != "1" else 1, f"{EVIL}\n".encode())
    return folder


LOOKS = (
    "ps", "ps --all", "tree", "incidents", "status", "inspect 1", "inspect 2", "inspect 3", "trace 1", "trace 2",
    "trace 3", "logs 1", "logs tools.shop", "logs 1 tools.shop", "wait 1", "wait 2", "wait 9", "kill 9", "stop 9",
    "cost --by agent,model,day,run", "journal head", "journal verify", "journal forget 9", "logs tools.none",
    "incidents skip 9 1", "upgrade 1", "send 9 x y", "down", "attach 1", "backup b",
    "journal archive --before 3 --to a", "journal keep --to kept", "restore-home b --home home",
    "freeze", "freeze --thaw", "pause 9", "unpause 9",
    "fleet check", "fleet show", "fleet show --resolved", "fleet check bad.yaml", "fleet check noyaml.yaml",
    "models list --fleet fleet.yaml", "models try far --fleet fleet.yaml", "models check", "up --dry-run", "up",
    "run fleet.yaml", "run program.py:main", "run program.py:stuck --unveil .:rw", "tools --tools tools.py",
    "tools --tools program.py", "chat", "resume --model nobody", "journal collect", "doctor", "completion bash",
    "fleet schema", "models remove x --yes", "models fetch --nope", "notify", "notify drop 9", "notify retry 9",
    "notify test",
    "mail", "mail dead", "mail dead 1", "mail retry 1", "mail drop 9",
    "service unit", "init made", "sessions", "sessions --all", "sessions end 9",
    "journal rebase --archive a", "why 1", "why 2", "why 3", "budget", "budget --all", "budget 2",
    "locks", "locks break 9", "locks break evil", "shared", "shared 9", "why 4",
    "budget 9 --add usd=1", "sched", "schedule 2", "schedule 9 --weight 2", "models queue", "ps --wide",
    "cost --estimate program.py:main", "cost --estimate fleet.yaml",
    "topics", "topics tail >", "publish a.b evil=1", "publish a.b x=1 --of nobody",
    "triggers", "triggers on x", "triggers off x --of y",
)  # fmt: skip
FLEET = """version: 1
name: small
# evil\\u202e comment
agents:
  one: {instruction: "evil\\e[31m\\e]52;c;aGk=\\a\\x9b2J\\u202e", instruction_from: more.md, unveil: {docs: rw}}
  two: {program: program.py:stuck, about: "évil"}
models:
  default: {driver: scripted}
  far: {driver: openai, base_url: "http://127.0.0.1:1/", model: "evil"}
folders: {docs: docs}
notify: [{command: [sh, -c, "evil\\n\\t"]}]
"""
TOOLS = f"""from prytany import tool

@tool(effect="pure")
def buy(n: int) -> str:
    {"evil" + EVIL[4:-3].encode("unicode_escape").decode()!r}
    return ""
"""


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setenv("PRYTANY_HOME", str(place / "home"))
    monkeypatch.setenv("PRYTANY_MODELS", str(place / "models"))
    monkeypatch.delenv("PRYTANY_MODEL", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    (place / "fleet.yaml").write_text(FLEET.replace("\\\\u202e c", "\u202e c"))
    (place / "more.md").write_text(EVIL)
    (place / "docs").mkdir(exist_ok=True)
    (place / "bad.yaml").write_text(f"version: 2\nname: {json.dumps(EVIL)}\n{json.dumps(EVIL)}: 1\nagents: !evil [x]\n")
    (place / "noyaml.yaml").write_text(f"a: [{EVIL.encode('unicode_escape').decode()}\n: &")
    (place / "tools.py").write_text(TOOLS)
    (place / "models").mkdir(exist_ok=True)
    (place / "models" / f"{EVIL}.gguf").write_bytes(b"GGUF\x03" + EVIL.encode() * 20)
    return place


@pytest.mark.parametrize("colour", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_command_lets_it_through_to_a_terminal(here: Path, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "" if colour else "1")
    shown = ""
    for line in LOOKS:
        told = tell(*line.split(), terminal=True)
        assert_clean(Told(told.words, told.code, OWN.sub("", told.out), OWN.sub("", told.err)))
        assert colour or "\x1b[3" not in told.out + told.err, line
        shown += line.partition(" ")[0] * (MARK in told.out + told.err)
    for command in (
        "ps",
        "tree",
        "incidents",
        "status",
        "inspect",
        "trace",
        "logs",
        "wait",
        "fleet",
        "models",
        "run",
        "locks",
        "shared",
        "why",
    ):
        assert command in shown, command  # else nothing was planted there


def test_json_has_it_whole_and_escaped(here: Path) -> None:
    found = ""
    for line in LOOKS:
        told = tell(*line.split(), "--json")
        assert_clean(told)
        for said in (told.out + told.err).splitlines():
            assert said.startswith(("{", "[")), (line, said)
            found += json.dumps(json.loads(said), ensure_ascii=False) * (line == "tree")
    assert json.dumps(EVIL[:40], ensure_ascii=False)[1:-1] in found


def test_every_command_is_among_these() -> None:
    tried = {name for name in LEAVES for line in LOOKS if line == name or line.startswith(f"{name} ")}
    assert LEAVES.keys() - tried <= {"incidents retry", "incidents give"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _events() -> list[ev.Event]:
    """What a run tells of itself, in these words."""
    spawned = ev.ProcessSpawned(
        pid=1, parent=0, run=1, name=EVIL, kind=EVIL, program=EVIL, source=b"", argument=b"", pledge=[], unveil={},
        seed=b"", uid=0, model=EVIL,
    )  # fmt: skip
    return [
        spawned, ev.ProcessStarted(1, 1), ev.CallOpened(pid=1, n=1, call=EVIL, argument=b"", prev=0),
        ev.IncidentOpened(1, EVIL, 1), ev.ProcessExited(pid=1, status=1, signal=0, reason=EVIL, result=b""),
    ]  # fmt: skip


def test_what_runs_is_drawn_and_told_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    screen = Terminal()
    console = Console(file=screen, force_terminal=True, color_system=None, width=80, markup=False, highlight=False)
    drawn = LiveProgress(tmp_path / EVIL, console)
    told: list[str] = []
    lines = Progress(told.append, tmp_path / EVIL)
    for number, event in enumerate(_events()):
        drawn(number + 1, number, [event])
        lines(number + 1, number, [event])
        console.print(drawn.picture())
    assert MARK in screen.getvalue()
    assert told
    for text in told:
        say(text)
    said = capsys.readouterr()
    assert_clean(Told(["run"], 0, OWN.sub("", screen.getvalue()), said.err + said.out))


KINDS = ("model", "piece", "reply", "tool", "incident", "stopped", "said", "ended")


def test_a_talk_and_a_plan_are_shown_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    values: list[Any] = [EVIL, {"answer": EVIL}, {"answer": {EVIL: EVIL}}, {"interrupted": True},
                         {"error": {"errno": EVIL, "message": EVIL}}]  # fmt: skip
    for alone in (False, True):
        screen = Screen(False, "prytany incidents", alone=alone)
        for kind in KINDS:
            for value in values if kind == "reply" else [{"type": "say", "uid": 1, "body": EVIL}, EVIL]:
                if kind != "said" or isinstance(value, dict):
                    screen.show(Said(seq=1, kind=kind, number=1, value=value), mine=False)
        screen.show(Said(seq=1, kind="reply", number=1, errno=EVIL, value=[EVIL, {}]), mine=False)
    changes = [Change(sign=sign, kind="agent", name=EVIL, what=[EVIL]) for sign in "+~-"]
    for some in ([], changes):
        for dry_run in (False, True):
            show_plan(Plan.of(EVIL, 1, some, dry_run=dry_run), False)
    said = capsys.readouterr()
    assert said.out.count(MARK) > 10
    assert_clean(Told(["chat"], 0, said.out, said.err))
