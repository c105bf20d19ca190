"""What a fleet file says of turns and budgets: what of it is refused, where, and what it comes to in the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from prytany.abi.budgets import Bounds, Budget
from prytany.abi.qos import QOS, Qos
from prytany.ports.model import ModelRoute
from prytany.scheduling.policies import POLICIES
from prytany.scheduling.preemption import Preempts as Kinds
from prytany.scheduling.routes import CHAIN_MAX
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.form_terms import FALLBACKS_MAX, AgentBudget, Class, Policy, Preempts, known_budget
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.models import ready_models
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.switched import Terms

HEAD = "version: 1\nname: f\n"
ONE = "agents: {one: {instruction: x}}\n"
MODELS = """models:
  default: {driver: scripted, KEYS}
  small: {driver: scripted}
  dear: {driver: openai, base_url: "http://10.0.0.1/v1", model: m}
"""


def loaded(folder: Path, text: str) -> ResolvedFleet:
    (folder / "fleet.yaml").write_text(HEAD + text)
    return resolve(load_fleet(folder / "fleet.yaml", {}).fleet, folder, {})


def faults(folder: Path, text: str) -> list[str]:
    """Where, and what."""
    with pytest.raises(FleetError) as caught:
        loaded(folder, text)
    return [f"{f.place.line}:{f.place.column} {f.what}" for f in caught.value.faults]


def test_the_words_of_the_form_are_those_of_the_scheduler() -> None:
    assert set(get_args(Policy)) == set(POLICIES)
    assert set(get_args(Preempts)) == {kind.value for kind in Kinds}
    assert set(get_args(Class)) == set(QOS)
    assert FALLBACKS_MAX + 1 == CHAIN_MAX


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("limits: {concurrency: 0}", "4:53 0 is too little: 1 is the least"),
        ("limits: {requests_per_minute: 0}", "0 is too little: 1 is the least"),
        ("limits: {tokens_per_minute: -5}", "-5 is too little: 1 is the least"),
        ("limits: {tokens_per_minute: 9999999999}", "9999999999 is too much: 1000000000 is the most"),
        ("limits: {tokens_per_minute: .nan}", "a whole number is wanted, and this is '.nan'"),
        ("limits: {tokens_per_minute: 1.5}", "a whole number is wanted, and this is '1.5'"),
        ("limits: {tokens_a_minute: 5}", "there is no such key; is 'tokens_per_minute' meant?"),
        ("policy: fairshare", "is wanted, and this is 'fairshare'"),
        ("policy: [classes]", "is wanted, and this is a list"),
        ("preempts: always", "`never` or `saved` or `undelivered` is wanted, and this is 'always'"),
        ("preempts: saved", "4:41 only a `local` model's slots can be saved"),
        ("fallback: small", "a list is wanted, and this is 'small'"),
        ("fallback: [smal]", "4:42 there is no model 'smal'; is 'small' meant?"),
        ("fallback: [default]", "4:42 that is the model itself"),
        ("fallback: [small, small]", "4:49 'small' stands there before"),
        ("fallback: [small, dear, small, dear, small, dear, small, dear]", "there are 8; 7 are the most"),
        ("routes: {model: small}", "a list is wanted, and this is a mapping"),
        ("routes: [{qos: utility}]", "'model' is missing"),
        ("routes: [{model: small}]", "4:40 say which calls: `qos`, `prompt_min`, `prompt_max` or `budget_below`"),
        ("routes: [{model: default, qos: utility}]", "4:48 that is the model itself"),
        ("routes: [{model: tiny, qos: utility}]", "there is no model 'tiny'"),
        ("routes: [{model: small, qos: urgent}]", "is wanted, and this is 'urgent'"),
        ("routes: [{model: small, qos: []}]", "name one class at least"),
        ("routes: [{model: small, qos: 3}]", "is wanted, and this is '3'"),
        ("routes: [{model: small, prompt_min: 9, prompt_max: 8}]", "4:40 `prompt_min` is more than `prompt_max`"),
        ("routes: [{model: small, prompt_max: 0}]", "0 is too little"),
        ("routes: [{model: small, budget_below: 20}]", "'20' has to be a whole number from 1 to 100 and `%`"),
        ("routes: [{model: small, budget_below: 0%}]", "'0%' has to be a whole number from 1 to 100 and `%`"),
        ("routes: [{model: small, budget_below: 101%}]", "'101%' has to be a whole number from 1 to 100 and `%`"),
        (f"routes: [{', '.join(['{model: small, qos: utility}'] * 33)}]", "there are 33; 32 are the most"),
    ],
)
def test_what_is_wrong_with_a_model_is_said_with_its_place(tmp_path: Path, keys: str, said: str) -> None:
    found = faults(tmp_path, MODELS.replace("KEYS", keys) + ONE)
    assert said in found[0]
    assert len(found) == 1 or "there are 8" in said


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (
            "{}",
            "say what it bounds: `tokens`, `usd`, `calls`, `wall_s`, `processor_s`, or `per_minute`; or write"
            " `unlimited`",
        ),
        ("{per_minute: {}}", "say what it bounds"),
        ("{of: tree}", "say what it bounds"),
        ("none", "`unlimited` is wanted, and this is 'none'"),
        ("5", "`unlimited` is wanted, and this is '5'"),
        ("[5]", "is wanted, and this is a list"),
        ("{tokens: 0}", "0 is too little: 1 is the least"),
        ("{tokens: -1}", "-1 is too little: 1 is the least"),
        ("{tokens: 1.5}", "a whole number is wanted"),
        ("{tokens: many}", "a whole number is wanted, and this is 'many'"),
        ("{tokens: 1000000000001}", "is too much: 1000000000000 is the most"),
        ("{tokens: 99999999999999999999999999}", "is too much"),
        ("{usd: 0}", "0.0 is too little: 0.0001 is the least"),
        ("{usd: -0.5}", "-0.5 is too little"),
        ("{usd: .nan}", "a number is wanted, and this is '.nan'"),
        ("{usd: .inf}", "a number is wanted, and this is '.inf'"),
        ("{usd: 1e300}", "is too much: 1000000.0 is the most"),
        ("{usd: $5}", "a lone `$`"),
        ("{calls: true}", "a whole number is wanted, and this is 'true'"),
        ("{calls: 0}", "0 is too little"),
        ("{wall_s: 0}", "is too little"),
        ("{processor_s: 0}", "is too little"),
        ("{per_minute: {processor_s: 60}}", "there is no such key"),
        ("{wall_s: 1h}", "a number is wanted, and this is '1h'"),
        ("{wall: 60}", "there is no such key"),
        ("{tokens: 5, of: run}", "is wanted, and this is 'run'"),
        ("{per_minute: {wall_s: 60}}", "there is no such key"),
        ("{per_minute: 60}", "is wanted, and this is '60'"),
        ("{per_minute: {tokens: 0}}", "0 is too little"),
    ],
)
def test_a_budget_that_is_none_is_refused_wherever_it_stands(tmp_path: Path, budget: str, said: str) -> None:
    places = {
        f"agents: {{one: {{instruction: x, budget: {budget}}}}}\n": 3,
        f"{ONE}defaults: {{budget: {budget}}}\n": 4,
        **({f"{ONE}budget: {budget}\n": 4} if "of:" not in budget else {}),
    }
    for text, line in places.items():
        found = faults(tmp_path, text)
        assert [f for f in found if said in f and f.startswith(f"{line}:")], found


def test_a_run_is_of_nothing_but_itself(tmp_path: Path) -> None:
    assert "there is no such key" in faults(tmp_path, f"{ONE}budget: {{tokens: 5, of: tree}}")[0]


@pytest.mark.parametrize("keys", ["qos: urgent", "qos: 0", "qos: [utility]", "weight: 0", "weight: 1001", "weight: x"])
def test_a_class_or_a_weight_that_is_none_is_refused(tmp_path: Path, keys: str) -> None:
    assert faults(tmp_path, f"agents: {{one: {{instruction: x, {keys}}}}}")[0].startswith("3:")
    assert faults(tmp_path, f"{ONE}defaults: {{{keys}}}")[0].startswith("4:")


USD = "{usd: 1}"
PRICED = MODELS.replace("KEYS", "").replace("model: m}", "model: m, prices: {input: 0, output: 0}}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"agents: {{one: {{instruction: x, model: dear, budget: {USD}}}}}", 7),
        ("agents: {one: {instruction: x, model: dear, budget: {tokens: 9, per_minute: {usd: 1}}}}", 7),
        (f"agents: {{one: {{instruction: x, model: dear}}}}\ndefaults: {{budget: {USD}}}", 8),
        (f"agents: {{one: {{instruction: x, model: dear}}}}\nbudget: {USD}", 8),
        # Whom it may start counts, where the budget is of all below it.
        (f"agents: {{one: {{instruction: x, budget: {USD}, spawns: [two]}}, two: {{instruction: x, model: dear}}}}", 7),
    ],
)
def test_money_without_a_price_is_refused_where_the_budget_stands(tmp_path: Path, text: str, line: int) -> None:
    (found,) = faults(tmp_path, MODELS.replace("KEYS", "") + text)
    assert found.startswith(f"{line}:")
    assert "nobody knows what the model dear costs" in found
    assert "`prices`" in found
    assert loaded(tmp_path, PRICED + text).agents, "with prices it is sound"


@pytest.mark.parametrize("keys", ["fallback: [dear]", "routes: [{model: dear, prompt_min: 9}]"])
def test_a_price_is_wanted_of_where_calls_may_go_instead_too(tmp_path: Path, keys: str) -> None:
    text = f"agents: {{one: {{instruction: x, budget: {USD}}}}}"
    assert "the model dear costs" in faults(tmp_path, MODELS.replace("KEYS", keys) + text)[0]


def test_a_program_may_ask_any_model_unless_it_may_ask_none(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from prytany import agent\n@agent(pledge='model')\nasync def f(proc): ...\n")
    text = MODELS.replace("KEYS", "") + f"agents: {{one: {{program: 'a.py:f', budget: {USD} PLEDGE}}}}"
    assert "the model dear costs" in faults(tmp_path, text.replace("PLEDGE", ""))[0]
    assert loaded(tmp_path, text.replace("PLEDGE", ", pledge: [ipc]")).agents


@pytest.mark.parametrize(
    "text",
    [
        f"agents: {{one: {{instruction: x, budget: {USD}}}, two: {{instruction: x, model: dear}}}}",
        "agents: {one: {instruction: x, model: dear, budget: {tokens: 5}}}",
        "agents: {one: {instruction: x, model: dear, budget: unlimited}}\ndefaults: {budget: {usd: 5}}",
        "agents: {one: {instruction: x, budget: {usd: 5, of: process}, spawns: [two]}, "
        "two: {instruction: x, model: dear}}",
    ],
)
def test_money_where_every_price_is_known_is_taken(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, MODELS.replace("KEYS", "") + text).agents


def test_what_an_agent_does_not_say_is_as_the_defaults_say(tmp_path: Path) -> None:
    fleet = loaded(
        tmp_path,
        "agents: {one: {instruction: x}, two: {instruction: x, qos: interactive, weight: 2, budget: unlimited}}\n"
        "defaults: {qos: background, weight: 9, budget: {tokens: 7}}",
    )
    one, two = fleet.agents["one"], fleet.agents["two"]
    assert (one.qos, one.weight, one.budget) == ("background", 9, AgentBudget(tokens=7))
    assert (two.qos, two.weight, two.budget) == ("interactive", 2, "unlimited")
    plain = loaded(tmp_path, ONE)
    assert (plain.agents["one"].qos, plain.agents["one"].weight, plain.agents["one"].budget) == ("", 1, None)
    assert plain.budget is None


def test_budgets_are_counted_in_the_kernels_units(tmp_path: Path) -> None:
    fleet = loaded(
        tmp_path, f"{ONE}budget: {{usd: 0.25, wall_s: 1.5, processor_s: 2, per_minute: {{calls: 3, usd: 0.0001}}}}"
    )
    assert known_budget(fleet.budget) == Budget(Bounds(-1, 250_000, -1, 1_500, 2_000), Bounds(-1, 100, 3))
    assert known_budget("unlimited") == Budget()
    assert known_budget(None) is None


def test_a_models_terms_are_in_the_kernels_names_and_open_no_other_driver(tmp_path: Path) -> None:
    keys = (
        "limits: {concurrency: 2, requests_per_minute: 60, tokens_per_minute: 900}, policy: first_come, "
        "preempts: undelivered, fallback: [small], routes: [{model: small, qos: [background, utility, background]}, "
        "{model: small, prompt_min: 5, prompt_max: 9, budget_below: 25%}]"
    )
    fleet = loaded(tmp_path, MODELS.replace("KEYS", keys) + ONE)
    ready = ready_models(fleet, {})
    opened, terms = ready["default"].of(7)
    routes = (ModelRoute("7/small", (Qos.UTILITY, Qos.BACKGROUND)), ModelRoute("7/small", (), 5, 9, 250))
    assert terms == Terms(2, 60, 900, "first_come", "undelivered", None, routes, ("7/small",))
    assert opened is ready["small"].opened, "what differs around a driver opens no other one"
