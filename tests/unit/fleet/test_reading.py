"""A fleet file is read by its form, and everything that is wrong with it is said with its place."""

from __future__ import annotations

import pytest

from prytany.abi.limits import RESTARTS_MAX
from prytany.system.fleet.document import DEPTH_MAX, TEXT_BYTES_MAX, parse_document
from prytany.system.fleet.faults import FAULTS_MAX, FleetError
from prytany.system.fleet.form import Fleet
from prytany.system.fleet.reading import Reader, as_form

AGENT = "{program: main.py:f}"
GOOD = f"version: 1\nname: a\nagents:\n  one: {AGENT}\n"


def read(text: str | bytes, variables: dict[str, str] | None = None) -> Fleet:
    reader = Reader(variables or {})
    value = reader.read(parse_document(text if isinstance(text, bytes) else text.encode(), "fleet.yaml"), Fleet)
    if reader.faults:
        raise FleetError("fleet.yaml", reader.faults)
    found: Fleet = as_form(value, Fleet)
    return found


def said(text: str | bytes, variables: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(FleetError) as caught:
        read(text, variables)
    return caught.value.message.splitlines()


def test_a_good_file_has_its_values() -> None:
    fleet = read(GOOD + "defaults: {restarts: 3}\nmodels: {default: {driver: scripted}}\n")
    assert (fleet.name, fleet.agents["one"].program) == ("a", "main.py:f")
    assert (fleet.defaults.restarts, fleet.models["default"].driver) == (3, "scripted")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nam: b", "fleet.yaml:5:1: nam: there is no such key; is 'name' meant?"),
        ("name: b", "fleet.yaml:5:1: name: it stands twice; the first is in line 2"),
        ("entry: [one]", "fleet.yaml:5:8: entry: text is wanted, and this is a list"),
        ("models: {m: {driver: }}", "fleet.yaml:5:22: models.m.driver: `local`"),
        ("entry: 9", "fleet.yaml:5:8: entry: '9' has to be of letters, digits, `-` and `_`, and begin with a letter"),
        (f"entry: {'a' * 65}", "fleet.yaml:5:8: entry: it has 65 characters; 64 are the most"),
        ("defaults: 3", "fleet.yaml:5:11: defaults: keys and values are wanted here, and this is '3'"),
        (
            "defaults: {restarts: many}",
            "fleet.yaml:5:22: defaults.restarts: a whole number is wanted, and this is 'many'",
        ),
        (
            "defaults: {restarts: 1.5}",
            "fleet.yaml:5:22: defaults.restarts: a whole number is wanted, and this is '1.5'",
        ),
        ("defaults: {restarts: -1}", "fleet.yaml:5:22: defaults.restarts: -1 is too little: 0 is the least"),
        (
            "defaults: {restarts: 99999999999}",
            f"fleet.yaml:5:22: defaults.restarts: 99999999999 is too much: {RESTARTS_MAX} is the most",
        ),
        ("defaults: {tools: a}", "fleet.yaml:5:19: defaults.tools: a list is wanted, and this is 'a'"),
        ("defaults: {tools: [{}]}", "fleet.yaml:5:20: defaults.tools[0]: text is wanted, and this is a mapping"),
        (
            "defaults: {unveil: {a: rx}}",
            "fleet.yaml:5:24: defaults.unveil.a: `r` or `rw` is wanted, and this is 'rx'; is 'r' meant?",
        ),
        ("models: {m: {}}", "fleet.yaml:5:13: models.m: 'driver' is missing"),
        (
            "models: {m: {driver: opnai}}",
            "fleet.yaml:5:22: models.m.driver: `local` or `openai` or `scripted` is wanted, and this is 'opnai';"
            " is 'openai' meant?",
        ),
        ("? [a]\n: b", "fleet.yaml:5:3: a key has to be a word"),
        ("<<: {entry: one}", "fleet.yaml:5:1: `<<` is not taken; put what is common under `defaults`"),
        (
            "entry: !!python/name:os.system ''",
            "fleet.yaml:5:8: entry: the tag 'tag:yaml.org,2002:python/name:os.system'",
        ),
        ("entry: !x one", "fleet.yaml:5:8: entry: the tag '!x' is not taken"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(line: str, expected: str) -> None:
    assert any(found.startswith(expected) for found in said(f"{GOOD}{line}\n")), said(f"{GOOD}{line}\n")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = said("version: 2\nname: a\nagents: {one: {progam: x}, two: {turns: 0}}\n")
    assert [line.split(": ")[1] for line in found] == ["version", "agents.one.progam", "agents.two.turns"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "fleet.yaml:1:1: it is empty"),
        ("# nothing\n", "fleet.yaml:1:1: it is empty"),
        ("- a\n", "fleet.yaml:1:1: keys and values are wanted here"),
        ("a: [1, 2\n", "fleet.yaml:2:1: it is not YAML"),
        ("a: b: c\n", "fleet.yaml:1:5: it is not YAML"),
        ("---\na: 1\n---\nb: 1\n", "fleet.yaml:3:1: it is not YAML: expected a single document"),
        (b"name: \xff\xfe\n", "fleet.yaml:1:7: it is not UTF-8"),
        ("name: a\x00b\n", "fleet.yaml:1:1: it is not YAML"),
        ("a" * (TEXT_BYTES_MAX + 1), "fleet.yaml:1:1: a fleet file has at most"),
        ("a: &a [*a]\n", "fleet.yaml:1:4: a[0][0][0]: it is nested deeper"),
        ("a: " + "[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2), "it is nested deeper"),
        ("a: " + "[" * 100_000, "it is n"),
    ],
)
def test_what_is_no_fleet_file_at_all_is_refused(text: str | bytes, expected: str) -> None:
    assert expected in said(text)[0]


def test_a_file_that_aliases_make_large_is_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 9):
        text += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    assert "stands for more than" in said(text)[0]


def test_the_errors_of_a_hostile_file_are_bounded() -> None:
    lines = said("".join(f"key{n}: 1\n" for n in range(10_000)))
    assert len(lines) == FAULTS_MAX + 1
    assert lines[-1].endswith("more")


def test_text_is_what_stands_there() -> None:
    """YAML takes `no` for a truth and `1.10` for a number; where text is wanted, they are text."""
    tools = read(f"{GOOD}defaults: {{tools: [no, 1.10, 12:30, 2026-01-01, 'null']}}\n").defaults.tools
    assert tools == ["no", "1.10", "12:30", "2026-01-01", "null"]


def test_variables_are_the_environments_but_not_in_prompts() -> None:
    text = """
version: 1
name: a
agents:
  one: {instruction: "Costs $5 in ${HOME} $$"}
models:
  m: {driver: openai, base_url: "${URL:-http://x}/$${v1}", model: "${M}"}
"""
    fleet = read(text, {"M": "a: [b", "HOME": "secret"})
    assert fleet.agents["one"].instruction == "Costs $5 in ${HOME} $$"
    assert (fleet.models["m"].base_url, fleet.models["m"].model) == ("http://x/${v1}", "a: [b")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${NOPE}", "NOPE is not set in the environment"),
        ("$x", "a lone `$`"),
        ("${", "a lone `$`"),
        ("a$", "a lone `$`"),
    ],
)
def test_a_variable_that_is_not_there_is_a_fault(written: str, expected: str) -> None:
    (line,) = said(f"{GOOD}models: {{m: {{driver: openai, model: '{written}'}}}}\n")
    assert line.startswith("fleet.yaml:5:37: models.m.model: ")
    assert expected in line


def test_a_variable_can_be_a_number() -> None:
    assert read(f"{GOOD}defaults: {{restarts: '${{N}}'}}\n", {"N": "7"}).defaults.restarts == 7
    assert "'many'" in said(f"{GOOD}defaults: {{restarts: '${{N}}'}}\n", {"N": "many"})[0]


def test_answers_are_json_schemas_as_yaml_writes_them() -> None:
    text = GOOD + "  two: {instruction: x, answer: {type: object, required: [a], n: 3, f: 1.5, t: true, z: null}}\n"
    assert read(text).agents["two"].answer == {
        "type": "object", "required": ["a"], "n": 3, "f": 1.5, "t": True, "z": None,
    }  # fmt: skip


def test_authors_may_keep_what_they_anchor_under_an_x_key() -> None:
    fleet = read(f"x-common: &c {{a: r}}\n{GOOD}defaults: {{unveil: *c}}\n")
    assert fleet.defaults.unveil == {"a": "r"}
