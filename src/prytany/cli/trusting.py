"""The fleet file that is meant, and whether its operator trusts what it brings."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Collection
from pathlib import Path

import click

from prytany.abi.errors import Eacces, Eagain, Enoent
from prytany.cli.failure import advised
from prytany.cli.home import find_home
from prytany.cli.text import note
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.target import NAMES, fleet_path
from prytany.system.fleet.trust import digest_of, is_trusted, what_is_trusted


def path_of(target: Path) -> Path:
    """The fleet file that a target names. Raises Enoent."""
    path = fleet_path(target)
    if path is None:
        here = str(target) == "."
        advice = f"name a .yaml file, or a folder that holds {NAMES[0]}; `prytany init` makes one to begin with"
        if here and (above := _above(Path.cwd())):
            folder = os.path.join(os.path.relpath(above), "")
            advice = f"the fleet beside the home that is used here is in {above}: name it as {shlex.quote(folder)};"
            advice += " `prytany init` makes one here"
        raise advised(Enoent(f"there is no fleet file {'here' if here else target}"), advice)
    return path


def _above(here: Path) -> Path | None:
    """The folder beside whose home a fleet file lies, where that home is used here and is not here."""
    folder = find_home(None).parent
    return folder if folder in here.parents and fleet_path(folder) is not None else None


def trusted(
    fleet: ResolvedFleet, given: Collection[str], home: Path, trust: bool, as_json: bool = False, *, ask: bool = True
) -> str:
    """What is to be remembered as trusted; "" for nothing new. Raises Eacces where the operator does not trust it, and
    where nobody is to be asked."""
    said = what_is_trusted(fleet, given)
    digest = digest_of(fleet, given)
    if not said or is_trusted(home, digest):
        return ""
    if not trust:
        if not ask:
            raise advised(
                Eacces(f"what the fleet {fleet.name} brings unconfined has changed, and is not trusted"),
                "look at it, then give the same `prytany up` by hand, which asks",
            )
        note(f"the fleet {fleet.name} brings what is not confined, or reaches outside of its folder:", as_json)
        for line in said:
            note(line if as_json else f"  {line}", as_json)
        asking = sys.stdin is not None and sys.stdin.isatty() and not as_json
        if not (asking and click.confirm("Do you trust this?", err=True)):
            raise advised(Eacces(f"the fleet {fleet.name} is not trusted"), "look at what is listed, then give --trust")
        if digest_of(fleet, given) != digest:  # it was another text that was asked about
            raise advised(
                Eagain(f"what the fleet {fleet.name} brings unconfined was changed while you were asked"),
                "look at it again, and give the same command",
            )
    return digest
