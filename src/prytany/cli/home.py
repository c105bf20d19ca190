"""Which home a command uses."""

from __future__ import annotations

import os
from pathlib import Path


def find_home(option: Path | None) -> Path:
    """--home, then PRYTANY_HOME, then the nearest `.prytany` upwards, then the user's state folder."""
    if option is not None:
        return option.absolute()
    if named := os.environ.get("PRYTANY_HOME"):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".prytany").is_dir():
            return folder / ".prytany"
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "prytany"
