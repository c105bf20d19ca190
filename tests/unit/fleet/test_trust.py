"""What reaches outside of a fleet's folder is asked about, by whatever key it does."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from prytany.abi.errors import Eagain
from prytany.cli.trusting import trusted
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import digest_of, what_is_trusted


@pytest.mark.parametrize(
    ("agent", "asked"),
    [
        ("instruction: hi", []), ("{instruction_from: own.md, skills: [inside]}", []),
        ("{instruction_from: ../theirs.md}", ["tells its model what stands in"]),
        ("{instruction_from: way/theirs.md}", ["tells its model what stands in"]),
        ("{instruction_from: ..}", ["tells its model what stands in"]),
        ("{instruction: hi, skills: [inside, ..]}", ["may read"]),
        ("{instruction: hi, skills: [way]}", ["may read"]),
        ("{instruction: hi, unveil: {way: r, ../far: rw}}", ["may read", "may write to"]),
    ],
)  # fmt: skip
def test_what_lies_elsewhere_has_to_be_trusted(tmp_path: Path, agent: str, asked: list[str]) -> None:
    folder = tmp_path / "fleet"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    (folder / "own.md").write_text("mine")
    for name in ("theirs.md", "AGENTS.md"):
        (tmp_path / name).write_text("theirs")
    (folder / "way").symlink_to("..")
    agent = agent if agent.startswith("{") else f"{{{agent}}}"
    (folder / "fleet.yaml").write_text(f"version: 1\nname: a\nagents: {{one: {agent}}}\n")
    loaded = load_fleet(folder / "fleet.yaml", {})
    said = what_is_trusted(resolve(loaded.fleet, folder, {}))
    assert [next(words for words in asked if words in line) for line in said] == asked


def brought(folder: Path, text: str, variables: dict[str, str] | None = None) -> ResolvedFleet:
    (folder / "fleet.yaml").write_text(f"version: 1\nname: a\n{text}\n")
    return resolve(load_fleet(folder / "fleet.yaml", variables or {}).fleet, folder, {})


ONE = "agents: {one: {instruction: hi}}\n"
FAR = "driver: openai, model: big, base_url"
HELD = "secrets: {k: {env: AWS_SECRET}}\n"


@pytest.mark.parametrize(
    ("models", "asked"),
    [
        (f"{FAR}: 'https://far.example/v1'", ["is sent to https://far.example/v1"]),
        (f"{FAR}: 'https://far.example/${{V}}'", ["is sent to https://far.example/hush"]),
        (f"{FAR}: 'http://127.0.0.1.far.example/v1'", ["is sent to"]),
        (f"{FAR}: 'https://far.example/v1', key: {{secret: k}}", ["with the secret k (the variable AWS_SECRET)"]),
        (f"{FAR}: 'http://127.0.0.1:8000/v1', key: {{secret: k}}", ["with the secret k (the variable AWS_SECRET)"]),
        (f"{FAR}: 'http://127.0.0.1:8000/v1'", []),
        ("driver: scripted, file: inside.json", []),
        ("driver: scripted, file: ../outside.json", ["answers what stands in"]),
        ("driver: scripted, file: link.json", ["answers what stands in"]),
        ("driver: local, file: inside.json", ["loaded unconfined"]),
        ("driver: local", []),
    ],
)
def test_where_a_model_is_asked_and_what_it_is_given_is_asked_about(
    tmp_path: Path, models: str, asked: list[str]
) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    for name in ("fleet/inside.json", "outside.json"):
        (tmp_path / name).write_text("[]")
    (folder / "link.json").symlink_to("../outside.json")
    said = what_is_trusted(brought(folder, f"{ONE}{HELD}models: {{m: {{{models}}}}}", {"V": "hush"}))
    assert len(said) == len(asked)
    assert all(words in line for words, line in zip(asked, said, strict=True)), said


def test_a_secret_from_elsewhere_is_asked_about_again(tmp_path: Path) -> None:
    text = f"{ONE}{HELD}notify: [{{command: ['true'], env: {{K: {{secret: k}}}}}}]"
    moved = text.replace("env: AWS_SECRET", "file: ../id")
    assert digest_of(brought(tmp_path, text)) != digest_of(brought(tmp_path, moved))
    assert f"(the file {tmp_path.parent}/id)" in what_is_trusted(brought(tmp_path, moved))[0]


def test_a_module_of_a_tool_that_was_changed_is_asked_about_again(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    (folder / "tools.py").write_text("import helper, linked")
    digests: set[str] = set()
    for number in range(2):
        (folder / "helper.py").write_text(f"x = {number}")
        digests.add(digest_of(brought(folder, f"{ONE}tools: {{t: {{python: tools.py}}}}")))
    (tmp_path / "common.py").write_text("y = 1")
    (folder / "linked.py").symlink_to("../common.py")
    digests.add(digest_of(brought(folder, f"{ONE}tools: {{t: {{python: tools.py}}}}")))
    assert len(digests) == 3


def test_a_program_outside_of_the_folder_is_asked_about_wherever_links_lead(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    for name in ("fleet/own.py", "theirs.py"):
        (tmp_path / name).write_text("from prytany import agent\n@agent\nasync def main(proc): ...\n")
    (folder / "way.py").symlink_to("../theirs.py")
    agents = ", ".join(f"a{n}: {{program: '{p}.py:main'}}" for n, p in enumerate(("own", "../theirs", "way")))
    said = what_is_trusted(brought(folder, f"agents: {{{agents}}}"))
    assert [line.split()[0] for line in said] == ["a1", "a2"]


def test_what_models_are_told_of_an_agent_has_no_variables_of_the_operator_in_it(tmp_path: Path) -> None:
    agent = "{instruction: hi, about: 'is ${V}', answer: {type: object, description: '${V}', title: '$5'}}"
    fleet = brought(tmp_path, f"agents: {{one: {agent}}}", {"V": "hush"})
    assert "hush" not in repr(fleet)
    assert fleet.agents["one"].about == "is ${V}"


def test_a_text_that_is_changed_while_its_operator_is_asked_is_not_what_was_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "shop.py"
    tools.write_text("1")
    fleet = brought(tmp_path, f"{ONE}tools: {{shop: {{python: shop.py}}}}")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    changes = iter([False, True])

    def yes(*words: object, **more: object) -> bool:
        tools.write_text("2" if next(changes) else "1")
        return True

    monkeypatch.setattr(click, "confirm", yes)
    assert trusted(fleet, (), tmp_path, trust=False) == digest_of(fleet)
    with pytest.raises(Eagain):
        trusted(fleet, (), tmp_path, trust=False)
