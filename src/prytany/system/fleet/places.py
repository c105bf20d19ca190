"""The folders of a fleet's agents, looked at before it is brought, and made where agents may write."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.unveil import check_writable, make_folder


def prepare_folders(fleet: ResolvedFleet, path: Path, home: Path) -> None:
    """Check every unveiled folder; make those that agents may write to and that are not there.

    Args:
        fleet: as it is brought.
        path: the fleet file.
        home: the kernel's.

    Raises:
        Enoent: a folder that is to be read is not there.
        Eacces: what would be written holds, or lies in, what agents must never write.
        Einval: a folder cannot be made.
    """
    for agent in fleet.agents.values():
        for place, mode in agent.unveil.items():
            try:
                if "w" in mode:
                    _writable(fleet, path, home, Path(place))
                elif not Path(place).is_dir():
                    raise Enoent(f"there is no folder {place}")
            except (Eacces, Einval, Enoent) as error:
                error.message = f"agents.{agent.name}.unveil: {error.message}"
                error.args = (error.message,)
                raise


def _writable(fleet: ResolvedFleet, path: Path, home: Path, place: Path) -> None:
    tools = [Path(file) for file in fleet.tools.values()]
    targets = {f"{path}:", *(agent.program for agent in fleet.agents.values() if agent.program)}
    for target in sorted(targets):
        check_writable(place, target, home, tools)
    make_folder(place)
    for target in sorted(targets):
        check_writable(place, target, home, tools)  # what was made is looked at, not what it was going to be
