"""The published schema is a schema, and says of fleet files what `fleet check` says, as far as their form goes."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from prytany.system.fleet.document import parse_document
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.form import Fleet
from prytany.system.fleet.reading import Reader
from prytany.system.fleet.schema import schema_text
from tests.tidy.repository import ROOT, files, text_of
from tests.tidy.test_documents import FENCE

GOOD = "version: 1\nname: a\nagents:\n  one: {program: main.py:f}\n"
VARIABLES = {"N": "3", "WORD": "one", "ON": "yes"}


def reader_of_yaml(truths: str) -> type[yaml.SafeLoader]:
    """As an editor reads it: dates are text, and only `truths` are no words."""

    class Loader(yaml.SafeLoader): ...

    Loader.yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in ("int", "float", "null")]
        for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(f"^({truths})$", re.I), list("tTfFyYnNoO"))
    return Loader


VERSIONS = [reader_of_yaml("true|false|yes|no|on|off"), reader_of_yaml("true|false")]


def keyed(value: Any) -> Any:
    """With keys as text, which is what JSON has."""
    if isinstance(value, dict):
        return {str(key): keyed(item) for key, item in value.items()}
    return [keyed(item) for item in value] if isinstance(value, list) else value


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(schema_text())
    return found


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def by_schema(text: str) -> set[bool]:
    """What both versions of YAML make of it."""
    return {validator().is_valid(keyed(yaml.load(text, version))) for version in VERSIONS}  # noqa: S506


def by_check(text: str) -> bool:
    reader = Reader(VARIABLES)
    try:
        reader.read(parse_document(text.encode(), "fleet.yaml"), Fleet)
    except FleetError:
        return False
    return not reader.faults


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_every_key_is_described() -> None:
    parts = {"": schema(), **schema()["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert bare == []


SOUND = [
    *(GOOD + line for line in (
        "entry: one", "entry: ${WORD}", "entry:", "entry: true", "x-own: [1, {a: b}]", "defaults: {}",
        "defaults: {tools: [no, 1.10, 12:30, 2026-01-01, 'null', true]}", "defaults: {restarts: 3}",
        "defaults: {restarts: '3'}", "defaults: {restarts: '${N}'}", "defaults: {restarts: }",
        "defaults: {unveil: {docs: r, 'a/b': rw, 7: r}}", "folders: {a: 7, b: true, c: ./x}",
        "models: {m: {driver: local}, n: {driver: openai, prices: {input: 1, output: 2.5}, limits: {concurrency: 2}}}",
        "models: {m: {driver: local, policy: fair_share, preempts: saved, fallback: [n]}}",
        "models: {m: {driver: local, limits: {tokens_per_minute: 9, requests_per_minute: 1}}}",
        "models: {m: {driver: local, routes: [{model: n, qos: utility}, {model: n, qos: [utility]}]}}",
        "models: {m: {driver: local, routes: [{model: n, budget_below: 5%}]}}",
        "defaults: {qos: interactive, weight: 1000, budget: unlimited}", "budget: unlimited", "budget:",
        "budget: {tokens: 9, usd: 0.5, calls: '3', wall_s: 1.5, per_minute: {usd: 1}}",
        "defaults: {budget: {of: process, usd: '${N}', per_minute: {calls: 1}}}",
        "models: {m: {driver: openai, key: {secret: s}, base_url: 'http://x', model: 4.1}}", "models: {}",
        "secrets: {s: {env: KEY}, t: {file: key.txt}}", "tools: {t: {python: t.py}}",
        "notify: [{command: [a, 1], of: [doubt]}, {webhook: 'https://x'}]",
        "  two: {instruction: 5, turns: 3, temperature: 1, service: on, answer: {type: object, x: null}}",
        "  two: {instruction: a, service: '${ON}', temperature: '0.5', kind: chat, skills: [a], max_tokens: 9}",
        "  two: {instruction_from: ., about: 12, pledge: [model], python: .venv, spawns: [one, '${WORD}']}",
    )),
    *(text_of(path) or "" for path in files() if path.name == "fleet.yaml"),
    *(match["body"] for path in files() if path.suffix == ".md"
      for match in FENCE.finditer(text_of(path) or "")
      if match["info"].startswith("yaml") and "version:" in match["body"]),  # and no part of one
]  # fmt: skip

WRONG = [
    *(GOOD + line for line in (
        "nam: b", "entry: [one]", "entry: {}", "entry: 9", "entry: a b", f"entry: {'a' * 65}", "models: {m: {}}",
        "models: {m: {driver: opnai}}", "models: {m: {driver: }}", "models: {m m: {driver: local}}", "models: 3",
        "models:", "models: []", "defaults: 3", "defaults: {restarts: many}", "defaults: {restarts: 1.5}",
        "defaults: {restarts: -1}", "defaults: {restarts: 99999999999}", "defaults: {restarts: [1]}",
        "defaults: {restarts: true}", "defaults: {tools: a}", "defaults: {tools: [{}]}", "defaults: {tools: [~]}",
        "defaults: {unveil: {a: rx}}", "defaults: {unveil: [a]}", "defaults: {about: x}", "folders: {a: ''}",
        "folders: {a: }", "folders: {1a: x}", "tools: {t: t.py}", "tools: {t: {}}", "secrets: {s: KEY}",
        "models: {m: {driver: openai, key: s}}", "models: {m: {driver: openai, prices: {input: 1}}}",
        "models: {m: {driver: openai, prices: {input: -1, output: 1}}}", "notify: {command: [a]}",
        "budget: infinite", "budget: 5", "budget: {of: tree}", "budget: {tokens: 0}", "budget: {tokens: 1.5}",
        "budget: {tokens: -1}", "budget: {usd: 0}", "budget: {usd: -1}", "budget: {usd: much}", "budget: {calls: []}",
        "budget: {tokens: 99999999999999}", "budget: {wall_s: 0}", "budget: {wall: 5}", "budget: {per_minute: 5}",
        "budget: {per_minute: {wall_s: 1}}", "defaults: {budget: {of: run}}", "defaults: {qos: urgent}",
        "defaults: {qos: 1}", "defaults: {weight: 0}", "defaults: {weight: 1001}", "defaults: {weight: 1.5}",
        "models: {m: {driver: local, policy: fairest}}", "models: {m: {driver: local, preempts: always}}",
        "models: {m: {driver: local, fallback: n}}", "models: {m: {driver: local, routes: {model: n}}}",
        "models: {m: {driver: local, routes: [{qos: utility}]}}", "models: {m: {driver: local, routes: [n]}}",
        "models: {m: {driver: local, routes: [{model: n, budget_below: 20}]}}",
        "models: {m: {driver: local, routes: [{model: n, budget_below: 101%}]}}",
        "models: {m: {driver: local, routes: [{model: n, budget_below: 0%}]}}",
        "models: {m: {driver: local, routes: [{model: n, prompt_max: 0}]}}",
        "models: {m: {driver: local, limits: {requests_per_minute: 0}}}",
        "models: {m: {driver: local, limits: {tokens_per_minute: 1e99}}}",
        "notify: [{of: [nothing]}]", "notify: [a]", "  two: {instruction: ''}", "  two: {instruction: [a]}",
        "  two: {instruction: a, turns: 0}", "  two: {instruction: a, service: maybe}", "  two: 3", "  two:",
        "  two: {instruction: a, answer: text}", "  two: {instruction: a, temperature: 2.5}", "  2: {program: b}",
        "  two: {instruction: a, kind: robot}", f"  two: {{instruction: a, about: {'x' * 201}}}",
    )),
    "name: a\nagents: {}", "version: 2\nname: a\nagents: {}", "version: 1\nagents: {}", "version: 1\nname: a",
    "[]", "3",
]  # fmt: skip


@pytest.mark.parametrize("text", SOUND)
def test_what_check_takes_the_schema_takes(text: str) -> None:
    assert by_check(text)
    assert by_schema(text) == {True}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_in_form_is_wrong_to_both(text: str) -> None:
    assert not by_check(text)
    assert by_schema(text) == {False}


def test_the_schema_lies_beside_the_files_that_init_makes() -> None:
    template = ROOT / "src" / "prytany" / "cli" / "template" / "fleet.yaml"
    assert template.read_text().splitlines()[0] == "# yaml-language-server: $schema=fleet.schema.json"
