"""The plan of `up`: what changed is said by its key, with what can be shown of how; texts and secrets are not."""

from __future__ import annotations

import msgspec
import pytest

from prytany.abi.control import Change, Plan
from prytany.system.fleet.comparing import compare, differing
from prytany.system.fleet.form import Model, Notice, Prices, Secret
from prytany.system.fleet.form_terms import Limits
from prytany.system.fleet.resolved import Chat, ResolvedAgent, ResolvedFleet

AGENT = ResolvedAgent(name="a", kind="chat", tools=["t.x"], chat=Chat(instruction="secret words"))
FLEET = ResolvedFleet(
    name="f", folder="/a", entry="a", agents={"a": AGENT}, models={"m": Model(driver="scripted")},
    secrets={"s": Secret(env="S")}, tools={"t": "/a/t.py"},
)  # fmt: skip


def lines(after: ResolvedFleet, behind: dict[tuple[str, str], list[str]] | None = None) -> list[str]:
    return [f"{c.sign} {c.kind} {c.name}: {', '.join(c.what)}" for c in compare(FLEET, after, behind or {})]


def test_the_same_is_no_change_and_a_new_fleet_is_all_added() -> None:
    assert compare(FLEET, FLEET, {}) == []
    assert [(c.sign, c.kind, c.name) for c in compare(None, FLEET, {})] == [
        ("+", "agent", "a"), ("+", "model", "m"), ("+", "secret", "s"), ("+", "tools", "t"),
    ]  # fmt: skip


def test_numbers_and_names_are_shown_as_they_were_and_are_and_texts_by_their_key() -> None:
    chat = Chat(instruction="other words", turns=5, answer={"type": "object", "a": {}}, skills=["/a/s"])
    after = msgspec.structs.replace(
        FLEET,
        folder="/b",
        agents={"a": msgspec.structs.replace(AGENT, tools=["t.y"], unveil={"/in": "r"}, chat=chat, service=True)},
        models={
            "m": Model(driver="scripted", limits=Limits(concurrency=4), prices=Prices(input=0.5, output=2)),
            "n": Model(driver="local"),
        },
        secrets={"s": Secret(file="s")},
        tools={"t": "/b/t.py"},
        notify=[Notice(command=["mail"])],
    )
    assert lines(after) == [
        "~ fleet f: folder: /a → /b",
        "~ agent a: tools: +t.y -t.x, unveil./in, service: false → true, instruction, turns: 30 → 5, answer,"
        " skills: +/a/s",
        "~ model m: prices.input: none → 0.5, prices.output: none → 2, limits.concurrency: none → 4",
        "+ model n: ",
        "~ secret s: file, env",
        "~ tools t: place",
        "+ notify command mail: ",
    ]


def test_what_lies_behind_the_file_is_a_change_of_what_names_it() -> None:
    said = lines(FLEET, {("secret", "s"): ["value"], ("tools", "t"): ["text"], ("secret", "OF_TOOLS"): ["value"]})
    assert said == ["~ secret s: value", "~ secret OF_TOOLS: value", "~ tools t: text"]


def test_a_long_list_is_cut() -> None:
    many = msgspec.structs.replace(AGENT, tools=[f"t.x{n}" for n in range(10_000)])
    (what,) = differing(AGENT, many)
    assert what.endswith("and 9991 more")
    assert len(what) < 200


@pytest.mark.parametrize(("sign", "field"), [("+", "added"), ("~", "changed"), ("-", "removed")])
def test_a_plan_has_the_agents_by_what_becomes_of_them(sign: str, field: str) -> None:
    changes = [Change(sign=sign, kind="agent", name="a"), Change(sign=sign, kind="model", name="m")]
    plan = Plan.of("f", 1, changes, dry_run=False)
    assert (getattr(plan, field), plan.models, plan.empty) == (["a"], ["m"], False)
