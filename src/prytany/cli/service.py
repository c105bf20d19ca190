"""`service unit`: a systemd unit for a fleet, with the paths of this installation filled in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from prytany.abi.errors import Einval
from prytany.cli.failure import advised
from prytany.cli.home import find_home
from prytany.cli.text import json_line, note
from prytany.cli.trusting import path_of
from prytany.runtime.confinement import needs_read_capability
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.trust import what_is_trusted
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
    if as_json:
        print(json_line({"name": f"prytany-{fleet.name}.service", "unit": text}))
    else:
        sys.stdout.write(text)
    if not user:
        _tell_unreadable([str(path), *facts.program, *fleet.tools.values(), *fleet.folders.values()], as_json)


def _program() -> tuple[str, ...]:
    """The words that start `prytany` as it runs now, wherever it is installed."""
    beside = os.path.join(os.path.dirname(sys.executable), "prytany")
    found = beside if os.access(beside, os.X_OK) else shutil.which("prytany")
    return (os.path.abspath(found),) if found else (sys.executable, "-m", "prytany.cli")


def _writes(fleet: ResolvedFleet) -> tuple[str, ...]:
    """The folders that its agents may write to."""
    return tuple(sorted({place for a in fleet.agents.values() for place, mode in a.unveil.items() if "w" in mode}))


def _tell_unreadable(paths: list[str], as_json: bool) -> None:
    for path in paths:
        if os.path.isabs(path) and os.path.exists(path) and needs_read_capability([path]):
            note(f"the service's user cannot read {path}: others than root have to, as below /opt or /srv", as_json)
