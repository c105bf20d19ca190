"""The model files of one's own: a folder, in which each `.gguf` is a model by its stem.

Only these names are looked at, not what lies in folders below, and not what begins with a dot, as a download that is
not done yet does. A file that is no model is listed with what is wrong, for its owner to see to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from prytany.abi.errors import Eacces, Einval, Enoent, KernelError
from prytany.system.gguf import look_at

FOLDER = "PRYTANY_MODELS"
SUFFIX = ".gguf"
RESERVED = frozenset({"local", "remote", "scripted"})
"""What `--model` takes for Prytany's own."""
ENTRIES_MAX = 10_000
"""Of a folder that is looked through."""
FILES_MAX = 1_000


class OwnFile(NamedTuple):
    """A file of the folder; `fault` says why it cannot be asked, "" where nothing is to be seen from outside."""

    name: str
    path: Path
    file_bytes: int
    fault: str


def own_folder() -> Path:
    """The folder that PRYTANY_MODELS names, else `prytany/models` in the user's data folder. It need not be there."""
    if named := os.environ.get(FOLDER):
        return Path(os.path.abspath(os.path.expanduser(named)))
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(os.path.abspath(os.path.expanduser(base))) / "prytany" / "models"


def own_names(folder: Path | None = None) -> list[str]:
    """The names of the model files, sorted, whatever is in them. Raises Enoent as `own_files`."""
    try:
        with os.scandir(folder or own_folder()) as entries:
            names = [entry.name for entry, _ in zip(entries, range(ENTRIES_MAX), strict=False)]
    except FileNotFoundError:
        if not os.environ.get(FOLDER):
            return []
        raise Enoent(f"{FOLDER} names {os.environ[FOLDER]!r}, which is not there") from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise Enoent(f"the folder of models {str(folder or own_folder())!r} cannot be read: {said}") from None
    kept = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX) and not name.startswith("."))
    return sorted(kept)[:FILES_MAX]


def own_files() -> list[OwnFile]:
    """The model files, by name.

    Raises:
        Enoent: the folder that PRYTANY_MODELS names is not there, or cannot be read.
    """
    folder = own_folder()
    return [_look(name, folder / f"{name}{SUFFIX}") for name in own_names(folder)]


def _look(name: str, path: Path) -> OwnFile:
    try:
        if name in RESERVED:
            raise Einval(f"`{name}` is Prytany's own name: give the file another one, or name it by its path")
        check_text(str(path))
        return OwnFile(name, path, look_at(path).file_bytes, "")
    except KernelError as error:
        return OwnFile(name, path, 0, error.message)


def check_text(path: str) -> None:
    """Raise Einval for a path that cannot be recorded as text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Einval("its name is no UTF-8 text: give it another one") from None


def find_own(name: str) -> Path | None:
    """The file of that name in the folder, whole; None where there is none."""
    if name in RESERVED or not name or name.startswith(".") or "/" in name or "\0" in name:
        return None
    path = own_folder() / f"{name}{SUFFIX}"
    return path if os.path.lexists(path) else None


class Removable(NamedTuple):
    """A file that may be removed, as it was looked at."""

    path: Path
    file_bytes: int
    identity: tuple[int, int]


def find_removable(path: Path, folders: list[Path]) -> Removable:
    """A model file directly in one of the folders: a regular file of such a name, and no link.

    Raises:
        Enoent: it is not there.
        Eacces: it is elsewhere, a link, no file, or has another name than models have.
    """
    whole = Path(os.path.abspath(path))
    if whole.parent not in folders:
        raise Eacces(f"{str(whole)!r} is in none of the folders of models: {', '.join(map(str, folders))}")
    if not whole.name.endswith(SUFFIX):
        raise Eacces(f"{str(whole)!r} is no model: those are called …{SUFFIX}")
    try:
        found = os.lstat(whole)
    except (OSError, ValueError) as error:
        raise Enoent(f"{str(whole)!r} cannot be found: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no file"
        raise Eacces(f"{str(whole)!r} is {what}, and is left to who made it")
    return Removable(whole, found.st_size if found.st_nlink == 1 else 0, (found.st_dev, found.st_ino))


def remove(file: Removable) -> int:
    """Remove it, if it still is what was looked at; the bytes that are free in its folder then. Raises Enoent, Eacces.

    A link put in its place meanwhile would be removed itself, and not what it leads to.
    """
    try:
        found = os.lstat(file.path)
        if (found.st_dev, found.st_ino) != file.identity:
            raise Eacces(f"{str(file.path)!r} is another file than it was a moment ago")
        os.unlink(file.path)
        room = os.statvfs(file.path.parent)
    except OSError as error:
        raise Eacces(f"{str(file.path)!r} cannot be removed: {error.strerror}") from None
    return room.f_bavail * room.f_frsize
