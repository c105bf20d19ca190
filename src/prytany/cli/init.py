"""`init`: a fleet of two agents to begin with, in files of one's own. Nothing that is there is changed."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enospc, KernelError
from prytany.abi.names import check_name
from prytany.cli.failure import advised
from prytany.cli.new_folder import New
from prytany.cli.text import json_line, safe
from prytany.journal.home import BEGUN
from prytany.journal.plain import read_plain
from prytany.system.fleet.schema import schema_text

TEMPLATE = Path(__file__).with_name("template")
FLEET = "fleet.yaml"
FILES = (FLEET, "librarian.py", "notes/bakery.md")
"""The fleet: where one of them is there, nothing is made."""
BESIDE = {"README.md": "README.md", ".gitignore": "gitignore"}
"""What a project may have already, and then keeps: by name, what it is called in the template."""
OUTSIDE = ("notes",)
"""Folders of them: one that is a link would have a file made elsewhere."""
SCHEMA, HOME = "fleet.schema.json", ".prytany"
NAME, NAME_CHARS_MAX = "fleet", 64
THEN = """then: prytany run --arg prompt="When does the bakery open?"
or:   prytany run --entry librarian --arg question="When does the bakery open?"    (no model is asked)
or:   prytany chat
With --model scripted none needs a model; prytany models fetch gets one."""


def make_fleet(folder: Path, as_json: bool) -> None:
    """Make a fleet in `folder`, and the folder where it is not there.

    Raises:
        Einval: files of the fleet's names are there, or the folder is none, or a home.
        Eacces, Enospc: it cannot be written; what was begun is taken away again.
    """
    check_name(str(folder))
    root = folder.absolute()
    if root.is_dir() and not BEGUN.isdisjoint(os.listdir(root)):
        raise advised(
            Einval(f"{root} is the home of a kernel, and no place for a fleet; nothing was made"),
            "name the folder that it is in, or another",
        )
    kept = [name for name in BESIDE if os.path.lexists(root / name)]
    contents = dict(_contents(root, kept))
    if taken := _taken(root, contents):
        raise advised(
            Einval(f"{root} has {', '.join(taken)} already; nothing was made"),
            "name another folder, or go on with what is there: prytany fleet check",
        )
    with New(root) as new:
        try:
            new.begin()
            for name, text in contents.items():
                if name == FLEET:
                    new.folder(HOME, 0o700)
                new.file(name, text)
        except OSError as error:
            new.take_away()
            raise advised(_refused(error, root), "nothing was made; name a folder that can be written to") from None
        except BaseException:
            new.take_away()
            raise
    _tell(folder, new.names, kept, as_json)


def _contents(root: Path, kept: list[str]) -> Iterator[tuple[str, str]]:
    """Names and texts; the fleet file comes last, so that where it is there all is."""
    name = fleet_name(root)
    sources = {**{name: name for name in FILES if name != FLEET}, **BESIDE, FLEET: FLEET}
    yield SCHEMA, schema_text()
    for target, source in sources.items():
        if target not in kept:
            yield target, (TEMPLATE / source).read_text(encoding="utf-8").replace("NAME", name)


def _taken(root: Path, contents: dict[str, str]) -> list[str]:
    """What is there and is not what an init that was cut off has left: of those, the fleet file is not whole."""
    there = [name for name in (*FILES, SCHEMA) if os.path.lexists(root / name)]
    whole = _holds(root / FLEET, contents[FLEET])
    taken = [name for name in there if whole or not _holds(root / name, contents[name], "")]
    taken += [name for name in OUTSIDE if (root / name).is_symlink()]
    if os.path.lexists(root / HOME) and (not (root / HOME).is_dir() or (root / HOME).is_symlink()):
        taken.append(HOME)
    return taken


def _holds(path: Path, *texts: str) -> bool:
    try:
        return read_plain(path).decode("utf-8", "replace") in texts
    except OSError:
        return False


def fleet_name(root: Path) -> str:
    """A name for the fleet, as near to its folder's as fleet files allow."""
    name = re.sub(
        r"^[^A-Za-z]+|[^A-Za-z0-9]+$", "", re.sub(r"[^A-Za-z0-9_-]+", "-", os.path.basename(os.path.realpath(root)))
    )
    return name[:NAME_CHARS_MAX] or NAME


def _refused(error: OSError, root: Path) -> KernelError:
    said = f"{root / str(error.filename or '')} cannot be made: {error.strerror}"
    match error:
        case PermissionError():
            return Eacces(said)
        case FileExistsError() | NotADirectoryError():
            return Einval(said)
        case _ if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Enospc(said)
        case _:
            return Einval(said)


def _tell(folder: Path, made: list[str], kept: list[str], as_json: bool) -> None:
    if as_json:
        print(json_line({"folder": str(folder.absolute()), "made": sorted(made), "kept": kept}))
        return
    print(safe(f"made in {folder.absolute()}: {', '.join(sorted(made))}"))
    if kept:
        left = f"left as it was: {', '.join(kept)}"
        print(left + (f"; {HOME}/ belongs into .gitignore" if ".gitignore" in kept else ""))
    if folder.absolute() != Path.cwd():
        print(safe(f"next: cd {shlex.quote(str(folder))}"))
    print(THEN)
