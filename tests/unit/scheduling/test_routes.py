"""Routes and fallbacks: the first that fits, each model once, and the one that was named where none can be asked."""

from __future__ import annotations

from prytany.scheduling.call import Qos
from prytany.scheduling.routes import CHAIN_MAX, Route, Routes

ROUTES = Routes(
    routes={
        "large": [
            Route("small", qos=(Qos.BACKGROUND,)),
            Route("cheap", budget_below_permille=100),
            Route("long", prompt_min=50_000),
        ]
    },
    fallbacks={"large": ["small", "other"], "small": ["large", "local"]},
)


def test_a_route_is_taken_by_class_by_size_and_by_budget_left() -> None:
    assert ROUTES.named("large", Qos.BACKGROUND, 10, 1_000) == "small"
    assert ROUTES.named("large", Qos.INTERACTIVE, 10, 99) == "cheap"
    assert ROUTES.named("large", Qos.INTERACTIVE, 50_000, 1_000) == "long"
    assert ROUTES.named("large", Qos.INTERACTIVE, 10, 1_000) == "large"
    assert ROUTES.named("nobody", Qos.INTERACTIVE, 10, 0) == "nobody"


def test_a_chain_names_each_model_once_and_has_an_end() -> None:
    assert ROUTES.chain("large") == ["large", "small", "other", "local"]
    ring = Routes(fallbacks={str(n): [str((n + 1) % 100)] for n in range(100)})
    assert ring.chain("0") == [str(n) for n in range(CHAIN_MAX)]


def test_the_first_that_can_be_asked_is_chosen_and_else_the_one_that_was_meant() -> None:
    def choose(*able: str) -> str:
        return ROUTES.choose("large", Qos.UTILITY, 10, 1_000, lambda name: name in able)

    assert choose("large", "small") == "large"
    assert choose("local", "small") == "small"
    assert choose("local") == "local"
    assert choose() == "large"
