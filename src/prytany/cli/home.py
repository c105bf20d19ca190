"""Which home a command uses."""

from __future__ import annotations

import os
import stat
import sys
from functools import cache
from pathlib import Path
from shlex import quote as quoted

from prytany.abi.errors import Eacces, Einval
from prytany.cli.failure import advised, wants_json
from prytany.cli.text import note


def find_home(option: Path | None) -> Path:
    """--home, then PRYTANY_HOME, then the nearest `.prytany` upwards that is ours, then the user's state folder.

    Raises Einval where a file is named, which is no home, and Eacces where one is found that was not begun where it
    lies: it may have come with what was downloaded.
    """
    if option is not None:
        return _folder(_plain(option))
    if named := os.environ.get("PRYTANY_HOME"):
        return _folder(_plain(Path(named)))
    here = Path.cwd()
    for folder in (here, *here.parents):
        found = folder / ".prytany"
        if os.path.lexists(found):
            if not (why := _why_not_ours(folder)):
                return _placed(found)
            _passed_over(f"{found} is passed over: {why}; it can be named, with --home")
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "prytany"


def _folder(named: Path) -> Path:
    """What was named, unless it is a file: people keep backups and archives, which are of a home and none."""
    if not named.is_file():
        return named
    raise advised(
        Einval(f"{named} is not a folder, and a home is one"),
        "a backup becomes a home with: prytany restore-home FILE --home DIR; an archive is read with the home that it"
        " is of: prytany journal verify --archive FILE",
    )


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


def _why_not_ours(folder: Path) -> str:
    """Why `folder` holds a home that somebody else can have planted there, or can put another in the place of; "" where
    nobody can.

    What a home records is run when it is resumed, so one that is merely found has to be a folder of this user's, no
    link, and where others may remove or rename it, it is passed over; it can still be named.
    """
    try:
        found = os.lstat(folder / ".prytany")
        around = os.stat(folder)
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    own = (0, os.geteuid())
    if not stat.S_ISDIR(found.st_mode):
        return "it is no folder"
    if found.st_uid != own[1] or around.st_uid not in own:
        return "it, or the folder that it is in, is somebody else's"
    if around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX:
        return f"everybody may write to {folder}, and so exchange it"
    return ""


@cache
def _passed_over(text: str) -> None:
    """Say it, once."""
    note(text, wants_json(sys.argv[1:]))


def _plain(named: Path) -> Path:
    """The path of what is named, from the root; without `..` where that means the same."""
    path = named.absolute()
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path
