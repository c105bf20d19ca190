"""Options that were typed and have no effect: whoever typed them is told, and what would have the effect."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from prytany.cli.text import note
from prytany.system.fleet.resolved import ResolvedFleet


def option(name: str) -> str:
    """A parameter's name in Python, as it is typed."""
    return f"--{name.replace('_', '-')}"


def only_at_begin(names: Sequence[str], given: Collection[str], home: Path, as_json: bool) -> None:
    """Say which of `names` were given though a kernel runs already, and only one that begins heeds them."""
    if typed := [option(name) for name in names if name in given]:
        note(
            f"{', '.join(typed)}: only for a kernel that begins; the one that runs in {home} goes on as it is. To have"
            " it so, stop that one and begin it anew with this, or use another --home",
            as_json, without_effect=typed,
        )  # fmt: skip


def asked_by_nobody(model: str, fleet: ResolvedFleet, as_json: bool) -> None:
    """Say that `--model` was given, and each agent of the fleet has a model of its own."""
    if model and all(agent.model for agent in fleet.agents.values()):
        note(
            f"--model {model} is asked by nobody: each agent of {fleet.name} has a model in its file", as_json,
            without_effect=["--model"],
        )  # fmt: skip
