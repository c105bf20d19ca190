"""`init`: a fleet of two agents to begin with, in files of one's own. Nothing that is there is changed."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enospc, KernelError
from prytany.abi.names import check_name
from prytany.cli.failure import advised
from prytany.cli.text import json_line, safe
from prytany.system.fleet.schema import schema_text

TEMPLATE = Path(__file__).with_name("template")
FILES = ("fleet.yaml", "librarian.py", "notes/bakery.md")
"""The fleet: where one of them is there, nothing is made."""
BESIDE = {"README.md": "README.md", ".gitignore": "gitignore"}
"""What a project may have already, and then keeps: by name, what it is called in the template."""
SCHEMA, HOME = "fleet.schema.json", ".prytany"
NAME, NAME_CHARS_MAX = "fleet", 64
THEN = """then: prytany run --arg prompt="When does the bakery open?"
or:   prytany run --entry librarian --arg question="When does the bakery open?"    (no model is asked)
or:   prytany chat
With --model scripted none needs a model; prytany models fetch gets one."""


def make_fleet(folder: Path, as_json: bool) -> None:
    """Make a fleet in `folder`, and the folder where it is not there.

    Raises:
        Einval: files of the fleet's names are there, or the folder is none.
        Eacces, Enospc: it cannot be written; what was begun is taken away again.
    """
    check_name(str(folder))
    root = folder.absolute()
    taken = [name for name in (*FILES, SCHEMA) if os.path.lexists(root / name)]
    if os.path.lexists(root / HOME) and not (root / HOME).is_dir():
        taken.append(HOME)
    if taken:
        raise advised(
            Einval(f"{root} has {', '.join(taken)} already; nothing was made"),
            "name another folder, or go on with what is there: prytany fleet check",
        )
    kept = [name for name in BESIDE if os.path.lexists(root / name)]
    made: list[Path] = []
    try:
        for path, text in _contents(root, kept):
            _make_folders(path.parent, made)
            with open(path, "x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
        _make_folders(root / HOME, made)
    except OSError as error:
        _take_away(made)
        raise advised(_refused(error, root), "nothing was made; name a folder that can be written to") from None
    except BaseException:
        _take_away(made)
        raise
    _tell(folder, [str(path.relative_to(root)) for path in made if root in path.parents], kept, as_json)


def _contents(root: Path, kept: list[str]) -> Iterator[tuple[Path, str]]:
    name = fleet_name(root)
    for target, source in {**{name: name for name in FILES}, **BESIDE}.items():
        if target not in kept:
            yield root / target, (TEMPLATE / source).read_text(encoding="utf-8").replace("NAME", name)
    yield root / SCHEMA, schema_text()


def fleet_name(root: Path) -> str:
    """A name for the fleet, as near to its folder's as fleet files allow."""
    name = re.sub(
        r"^[^A-Za-z]+|[^A-Za-z0-9]+$", "", re.sub(r"[^A-Za-z0-9_-]+", "-", os.path.basename(os.path.realpath(root)))
    )
    return name[:NAME_CHARS_MAX] or NAME


def _make_folders(place: Path, made: list[Path]) -> None:
    """`place` and what is missing above it; homes are nobody else's to look into."""
    if place.is_dir():
        return
    _make_folders(place.parent, made)
    place.mkdir(mode=0o700 if place.name == HOME else 0o777)
    made.append(place)


def _take_away(made: list[Path]) -> None:
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _refused(error: OSError, root: Path) -> KernelError:
    said = f"{error.filename or root} cannot be made: {error.strerror}"
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
