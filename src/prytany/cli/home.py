"""Which home a command uses."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote as quoted

from prytany.abi.errors import Eacces
from prytany.cli.failure import advised


def find_home(option: Path | None) -> Path:
    """--home, then PRYTANY_HOME, then the nearest `.prytany` upwards that is ours, then the user's state folder.

    Raises Eacces where one is found that was not begun where it lies: it may have come with what was downloaded.
    """
    if option is not None:
        return option.absolute()
    if named := os.environ.get("PRYTANY_HOME"):
        return Path(named).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_ours(folder):
            return _placed(folder / ".prytany")
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "prytany"


def _placed(home: Path) -> Path:
    from prytany.journal.place import is_placed

    try:
        if is_placed(home):
            return home
    except OSError:
        return home  # whoever opens it says why that cannot be
    said = f"the home {home} was not begun here: it was copied, came with the folder, or is of an earlier version"
    named = quoted(str(home))
    raise advised(
        Eacces(said),
        f"what it records is run: look at it with prytany ps --home {named}, and where it is yours, go on with it once:"
        f" prytany resume --home {named}",
    )


def _is_ours(folder: Path) -> bool:
    """Whether `folder` holds a home that nobody else can have planted there, or can put another in the place of.

    What a home records is run when it is resumed, so one that is merely found has to be a folder of this user's, no
    link, and where others may remove or rename it, it is passed over; it can still be named.
    """
    try:
        found = os.lstat(folder / ".prytany")
        around = os.stat(folder)
    except OSError:
        return False
    others = around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX
    own = (0, os.geteuid())
    return stat.S_ISDIR(found.st_mode) and found.st_uid == own[1] and around.st_uid in own and not others
