"""The fleet whose models a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prytany.abi.errors import Enoent
from prytany.cli.failure import advised

if TYPE_CHECKING:
    from prytany.system.fleet.resolved import ResolvedFleet


def fleet_of(target: Path | None) -> ResolvedFleet | None:
    """The fleet of a file or a folder, checked and whole; None for none. Raises Enoent, FleetError."""
    if target is None:
        return None
    from prytany.system.fleet.loading import load_fleet
    from prytany.system.fleet.resolved import resolve
    from prytany.system.fleet.target import NAMES, fleet_path

    path = fleet_path(target)
    if path is None:
        raise advised(
            Enoent(f"there is no fleet file {'here' if str(target) == '.' else target}"),
            f"name a .yaml file, or a folder that holds {NAMES[0]}",
        )
    return resolve(load_fleet(path).fleet, path.absolute().parent, {})
