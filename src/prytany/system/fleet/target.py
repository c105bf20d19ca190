"""Whether a target of the command line is a fleet: by its name, without reading it."""

from __future__ import annotations

import os
from pathlib import Path

NAMES = ("fleet.yaml", "fleet.yml")
SUFFIXES = (".yaml", ".yml")


def is_fleet(target: str) -> bool:
    """Whether it names a fleet file, or a folder. Whether that holds one is another question."""
    return target.endswith(SUFFIXES) or os.path.isdir(target)


def fleet_path(target: Path) -> Path | None:
    """The fleet file that a target names: itself, or the one in a folder; None where the target is neither."""
    if os.path.isdir(target):
        return next((target / name for name in NAMES if (target / name).is_file()), None)
    return target if target.suffix in SUFFIXES else None
