"""`service unit`: a systemd unit for a fleet, with the paths of this installation filled in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import prytany
from prytany.abi.errors import Einval
from prytany.cli.failure import advised
from prytany.cli.home import find_home
from prytany.cli.text import json_line, note
from prytany.cli.trusting import path_of
from prytany.drivers.models.weights import cache_path, find_weights
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import what_is_trusted
from prytany.system.startable import in_the_way, without_model
from prytany.system.unit import Facts, system_unit, user_unit


def show_unit(target: Path, home: Path | None, drain_s: int, *, user: bool, as_json: bool) -> None:
    """Print it; what stands in its way is told beside it. Raises FleetError, Einval."""
    if home is not None and not user:
        raise advised(
            Einval("a service of the system has its home below /var/lib"), "leave --home out, or print one with --user"
        )
    path = path_of(target).absolute()
    fleet = resolve(load_fleet(path).fleet, path.parent, {})
    facts = Facts(
        program=_program(), name=fleet.name, target=str(path), drain_s=drain_s, writes=_writes(fleet),
        credentials=tuple(dict.fromkeys(s.credential for s in fleet.secrets.values() if s.credential)),
        trusted=tuple(what_is_trusted(fleet)), home=str(find_home(home)) if user else "",
        local_model=any(model.driver == "local" and not model.file for model in fleet.models.values()),
    )  # fmt: skip
    text = user_unit(facts) if user else system_unit(facts)
    warnings = _warnings(fleet, facts, user=user)
    if as_json:
        print(json_line({"name": f"prytany-{fleet.name}.service", "unit": text, "warnings": warnings}))
    else:
        sys.stdout.write(text)
    for warning in warnings:
        note(warning, as_json)


def _program() -> tuple[str, ...]:
    """The words that start `prytany` as it runs now, wherever it is installed."""
    beside = os.path.join(os.path.dirname(sys.executable), "prytany")
    found = beside if os.access(beside, os.X_OK) else shutil.which("prytany")
    return (os.path.abspath(found),) if found else (sys.executable, "-m", "prytany.cli")


def _writes(fleet: ResolvedFleet) -> tuple[str, ...]:
    """The folders that its agents may write to."""
    return tuple(sorted({place for a in fleet.agents.values() for place, mode in a.unveil.items() if "w" in mode}))


def _warnings(fleet: ResolvedFleet, facts: Facts, *, user: bool) -> list[str]:
    """What keeps it from starting."""
    found: list[str] = []
    if not user:
        programs = [agent.program.rpartition(":")[0] for agent in fleet.agents.values()]
        files = [facts.target, *fleet.tools.values(), *fleet.folders.values(), *programs]
        pythons = [agent.python for agent in fleet.agents.values()]
        libraries = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.abspath(prytany.__file__))]
        found += in_the_way(files, [facts.program[0], sys.executable, *pythons], libraries)
    nameless = [agent.name for agent in fleet.agents.values() if not agent.model]
    weights = find_weights()
    own = weights == cache_path()
    if weights is None or (own and not user):  # others are installed with it
        found += filter(None, [without_model(nameless, str(weights) if own else "")])
    return found
