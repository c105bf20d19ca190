"""Routes and fallbacks: the first that fits, each model once, and the one that was named where none can be asked."""

from __future__ import annotations

from prytany.abi.qos import Qos
from prytany.ports.model import ModelRoute
from prytany.scheduling.routes import CHAIN_MAX, routed, stands_in

ROUTES = (
    ModelRoute("small", qos=(Qos.BACKGROUND,)),
    ModelRoute("cheap", budget_below_permille=100),
    ModelRoute("long", prompt_min=50_000),
)
FALLBACKS = {"large": ["small", "other"], "small": ["large", "local"]}


def test_a_route_is_taken_by_class_by_size_and_by_budget_left() -> None:
    assert routed("large", ROUTES, Qos.BACKGROUND, 10, 1_000) == "small"
    assert routed("large", ROUTES, Qos.INTERACTIVE, 10, 99) == "cheap"
    assert routed("large", ROUTES, Qos.INTERACTIVE, 50_000, 1_000) == "long"
    assert routed("large", ROUTES, Qos.INTERACTIVE, 10, 1_000) == "large"
    assert routed("nobody", (), Qos.INTERACTIVE, 10, 0) == "nobody"
    assert routed("large", (ModelRoute("tiny", prompt_max=9),), Qos.UTILITY, 10, 1_000) == "large"


def test_a_chain_asks_of_each_model_once_and_has_an_end() -> None:
    asked: list[str] = []

    def unable(name: str) -> bool:
        asked.append(name)
        return False

    assert stands_in("large", lambda name: FALLBACKS.get(name, []), unable) == "large"
    assert asked == ["large", "small", "other", "local"]
    asked.clear()
    assert stands_in("0", lambda name: [str((int(name) + 1) % 100)], unable) == "0"
    assert asked == [str(n) for n in range(CHAIN_MAX)]


def test_the_first_that_can_be_asked_is_chosen_and_else_the_one_that_was_meant() -> None:
    def choose(*able: str) -> str:
        return stands_in("large", lambda name: FALLBACKS.get(name, []), lambda name: name in able)

    assert choose("large", "small") == "large"
    assert choose("local", "small") == "small"
    assert choose("local") == "local"
    assert choose() == "large"
