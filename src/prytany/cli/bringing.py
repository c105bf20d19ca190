"""A fleet file as `up` hands it to a kernel: read, trusted, and with the variables that its secrets are taken from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from prytany.abi import control
from prytany.abi.budgets import Budget
from prytany.abi.errors import Einval
from prytany.cli.trusting import path_of
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.fleet.said_budget import said_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def resolved(target: Path, tags: Sequence[str] = (), budget: Budget | None = None) -> ResolvedFleet:
    """The fleet of a file, or of a folder that holds one; all of its agents have these tags, and each run of it that
    budget, over what the file says. Raises FleetError, Enoent, Einval."""
    path = path_of(target)
    fleet = resolve(load_fleet(path).fleet, path.absolute().parent, {}, tags)
    if budget is None:
        return fleet
    from prytany.system.fleet.sound import up_budget_faults

    said = msgspec.structs.replace(fleet, up_budget=said_of(budget))
    for what in up_budget_faults(said):
        raise Einval(f"--budget: {what}")
    return said


def bring_command(
    fleet: ResolvedFleet, *, dry_run: bool = False, environment: Mapping[str, str] = os.environ
) -> control.BringFleet:
    """What brings it, with those variables of the environment here that its secrets can be taken from: the ones that
    its file names, and words of its files of tools."""
    named = {secret.env for secret in fleet.secrets.values() if secret.env}
    for path in fleet.tools.values():
        try:
            named.update(_NAME.findall(Path(path).read_text("utf-8", "replace")))
        except OSError:  # whoever loads it says why
            continue
    given = {name: environment[name] for name in sorted(named) if name in environment}
    return control.BringFleet(msgspec.msgpack.encode(fleet), dry_run, {k: v for k, v in given.items() if _is_text(v)})


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
