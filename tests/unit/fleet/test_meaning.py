"""What a fleet file names has to be there and to go together; a sound one is resolved, whole."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from prytany.abi.errors import Enoent
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.fleet.target import fleet_path

PROGRAM = """
from prytany import Process, agent

@agent(pledge="model ipc")
async def main(proc: Process) -> None:
    raise SystemExit("a check runs nothing")

@agent(pledge="proc model")
async def boss(proc: Process) -> None: ...

def plain(proc): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "bad.py").write_text("async def main(:\n")
    (tmp_path / "tools.py").write_text("")
    (tmp_path / "docs").mkdir()
    (tmp_path / "style.md").write_text("Be brief.\n")
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "AGENTS.md").write_text("Be kind.\n")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "fleet.yaml"
    path.write_text("version: 1\nname: a\n" + text)
    return path


def said(folder: Path, text: str) -> list[str]:
    with pytest.raises(FleetError) as caught:
        load_fleet(write(folder, text), {})
    return [line.partition("fleet.yaml:")[2] for line in caught.value.message.splitlines()]


ONE = "agents: {one: {program: main.py:main"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agents: {}", "3:9: agents: there is none; name at least one"),
        (
            "models: {m: {driver: scripted, prices: {input: 1, output: 1, cached: 2}}}\n" + ONE + "}}",
            "3:70: models.m.prices.cached: it is more than `input`, of which it is a part",
        ),
        (
            f"defaults: {{tags: [{', '.join(f't{n}' for n in range(10_000))}]}}\n" + ONE + "}}",
            "3:18: defaults.tags: there are 10000; 32 are the most",
        ),
        (f"entry: on\n{ONE}}}}}", "3:8: entry: there is no agent 'on'; is 'one' meant?"),
        ("agents: {one: {}}", "3:15: agents.one: say what it is: `instruction` for a chat agent, `program` for"),
        ("agents: {one: {kind: python}}", "3:15: agents.one: 'program' is missing: `file.py:function`"),
        ("agents: {one: {kind: chat}}", "3:15: agents.one: 'instruction' is missing; a chat agent needs it"),
        ("agents: {one: {program: main.py}}", "3:25: agents.one.program: 'main.py' has to be `file.py:function`"),
        ("agents: {one: {program: none.py:f}}", "3:25: agents.one.program: there is no program "),
        ("agents: {one: {program: main.py:nope}}", "3:25: agents.one.program: "),
        ("agents: {one: {program: main.py:plain}}", "3:25: agents.one.program: plain in "),
        ("agents: {one: {program: bad.py:main}}", "3:25: agents.one.program: "),
        (f"{ONE}, turns: 3}}}}", "3:46: agents.one.turns: an agent of kind `python` has none"),
        ("agents: {one: {instruction: x, pledge: [model]}}", "3:40: agents.one.pledge: a chat agent has none"),
        (f"{ONE}, pledge: [modl]}}}}", "3:48: agents.one.pledge[0]: there is no pledge 'modl'; is 'model' meant?"),
        (f"{ONE}, spawns: [two]}}}}", "3:48: agents.one.spawns[0]: there is no agent 'two'; there are one"),
        (f"{ONE}, handoff: [two]}}}}", "3:49: agents.one.handoff[0]: there is no agent 'two'; there are one"),
        (f"{ONE}, spawns: [one]}}}}", "3:47: agents.one.spawns: it starts others, so it has to pledge `proc`"),
        (f"{ONE}, model: m}}}}", "3:46: agents.one.model: there is no model 'm'; there are none"),
        (f"{ONE}, tools: [t.x]}}}}", "3:47: agents.one.tools[0]: there are no tools 't'; there are none"),
        (f"{ONE}, unveil: {{nope: r}}}}}}", "3:54: agents.one.unveil.nope: there is no folder "),
        (f"{ONE}}}}}\ntools: {{t: {{python: no.py}}}}", "4:21: tools.t.python: there is no file "),
        (f"{ONE}}}}}\nsecrets: {{s: {{}}}}", "4:14: secrets.s: say where it is from"),
        (f"{ONE}}}}}\nsecrets: {{s: {{env: A, file: b}}}}", "4:14: secrets.s: say where it is from"),
        (f"{ONE}}}}}\nsecrets: {{s: {{env: A, credential: b}}}}", "4:14: secrets.s: say where it is from"),
        (f"{ONE}}}}}\nsecrets: {{s: {{credential: ../b}}}}", "4:27: secrets.s.credential"),
        (f"{ONE}}}}}\nmodels: {{m: {{driver: openai}}}}", "4:13: models.m: 'base_url' is missing"),
        (
            f"{ONE}}}}}\nmodels: {{m: {{driver: openai, base_url: x, model: y}}}}",
            "4:40: models.m.base_url: 'x' has to begin with https:// or http://",
        ),
        (
            f"{ONE}}}}}\nmodels: {{m: {{driver: local, model: y}}}}",
            "4:36: models.m.model: a model of the driver `local`",
        ),
        (f"{ONE}}}}}\nmodels: {{m: {{driver: local, file: y.gguf}}}}", "4:35: models.m.file: there is no file "),
        (f"{ONE}}}}}\nmodels: {{m: {{driver: scripted, file: y}}}}", "4:38: models.m.file: there is no file "),
        (
            f"{ONE}}}}}\nmodels: {{m: {{driver: openai, base_url: 'http://x', model: y, key: {{secret: s}}}}}}",
            "4:76: models.m.key.secret: there is no secret 's'; there are none",
        ),
        (f"{ONE}}}}}\nnotify: [{{}}]", "4:10: notify[0]: say who is told: `command`, or `webhook`"),
        (f"{ONE}}}}}\nnotify: [{{webhook: x}}]", "4:20: notify[0].webhook: 'x' has to begin with https://"),
        (f"{ONE}}}}}\nnotify: [{{command: []}}]", "4:20: notify[0].command: it is empty"),
        ("agents: {one: {instruction_from: no.md}}", "3:34: agents.one.instruction_from: "),
        ("agents: {one: {instruction_from: docs}}", "3:34: agents.one.instruction_from: "),
        ("agents: {one: {instruction: x, skills: [no]}}", "3:41: agents.one.skills[0]: there is no folder "),
    ],
)
def test_what_does_not_go_together_is_said_with_its_place(folder: Path, text: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in said(folder, text)), said(folder, text)


def test_a_fleet_is_resolved_whole(folder: Path) -> None:
    text = """
entry: boss
folders: {input: docs, output: out}
models: {default: {driver: scripted}, small: {driver: openai, base_url: "http://x/v1", model: s, key: {secret: k}}}
secrets: {k: {env: KEY}}
tools: {prices: {python: tools.py}}
defaults: {restarts: 2, unveil: {input: r}, tools: [prices]}
agents:
  boss: {program: main.py:boss, spawns: [reader, talker], unveil: {output: rw}}
  reader: {program: ./main.py:main, model: small, tools: [], restarts: 0}
  talker: {instruction: "Answer.", instruction_from: guide, turns: 4}
"""
    loaded = load_fleet(write(folder, text), {})
    resolved = resolve(loaded.fleet, folder, {"input": "/elsewhere"})
    boss, reader, talker = (resolved.agents[name] for name in ("boss", "reader", "talker"))
    assert resolved.entry == "boss"
    assert boss.program == reader.program.replace(":main", ":boss") == f"{folder}/main.py:boss"
    assert (boss.model, boss.tools, boss.restarts) == ("default", ["prices"], 2)
    assert (reader.model, reader.tools, reader.restarts) == ("small", [], 0)
    assert boss.unveil == {f"{folder}/out": "rw"}
    assert reader.unveil == {"/elsewhere": "r"}
    assert talker.kind == "chat"
    assert talker.chat is not None
    assert (talker.chat.instruction, talker.chat.turns) == ("Answer.\n\nBe kind.", 4)
    assert resolved.tools == {"prices": f"{folder}/tools.py"}
    assert msgspec.json.decode(msgspec.json.encode(resolved))["secrets"] == {"k": {"env": "KEY"}}


def test_the_only_agent_is_the_entry_and_of_several_none(folder: Path) -> None:
    one = load_fleet(write(folder, "agents: {only: {instruction: x}}"), {})
    assert resolve(one.fleet, folder, {}).entry == "only"
    two = load_fleet(write(folder, "agents: {a: {instruction: x}, b: {instruction_from: style.md}}"), {})
    resolved = resolve(two.fleet, folder, {})
    assert resolved.entry == ""
    assert resolved.agents["b"].chat is not None
    assert resolved.agents["b"].chat.instruction == "Be brief."


def test_a_target_is_a_fleet_file_or_a_folder_that_holds_one(folder: Path) -> None:
    assert fleet_path(folder) is None
    path = write(folder, "agents: {only: {instruction: x}}")
    assert fleet_path(folder) == fleet_path(path) == path
    assert fleet_path(folder / "main.py") is None
    with pytest.raises(Enoent, match=r"no\.yaml cannot be read"):
        load_fleet(folder / "no.yaml")


@pytest.mark.parametrize("price", ["-0.01", "nan", ".nan", "inf", "1e400", "1e7", "true", "", "1e-3e"])
def test_a_price_is_a_number_that_can_be_meant(folder: Path, price: str) -> None:
    text = f"models:\n  m:\n    driver: scripted\n    prices:\n      output: 1\n      input: {price}\n{ONE}}}}}"
    (line,) = said(folder, text)
    assert ": models.m.prices.input: " in line


def test_tags_are_those_of_the_agent_or_the_defaults_and_those_that_are_given(folder: Path) -> None:
    text = "defaults: {tags: [b, a]}\n" + ONE + "}, two: {program: main.py:main, tags: [c]}}"
    fleet = load_fleet(write(folder, text), {}).fleet
    resolved = resolve(fleet, folder, {}, ["run"])
    assert {name: agent.tags for name, agent in resolved.agents.items()} == {
        "one": ["a", "b", "run"],
        "two": ["c", "run"],
    }
