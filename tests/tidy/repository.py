"""What the tidy tests look at: the repository's own files, never what lies beside them in ignored folders."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "prytany"


@functools.cache
def files() -> tuple[Path, ...]:
    """All files that git tracks or would track, sorted; without git, all that are not in a dotted folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        found = {ROOT / name for name in listed if name}
    except (OSError, subprocess.CalledProcessError):
        parts = ((path, path.relative_to(ROOT).parts) for path in ROOT.rglob("*"))
        found = {path for path, names in parts if not any(n.startswith(".") or n == "__pycache__" for n in names)}
    return tuple(sorted(path for path in found if path.is_file()))


@functools.cache
def text_of(path: Path) -> str | None:
    """The file's text, or None when it is not text."""
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


@functools.cache
def modules() -> dict[str, ast.Module]:
    """The product's modules, parsed, by their path from the root."""
    found = (path for path in files() if path.suffix == ".py" and SRC in path.parents)
    return {name_of(path): ast.parse(path.read_bytes()) for path in found}


def name_of(path: Path) -> str:
    """How a failure names a file."""
    return path.relative_to(ROOT).as_posix()


def lines_matching(pattern: str, *, under: Path = ROOT, but: tuple[str, ...] = ()) -> list[str]:
    """`file:line: text` for each line below `under` in which `pattern` is found, without the files named in `but`."""
    sought = re.compile(pattern)
    return [
        f"{name_of(path)}:{number}: {line.strip()[:120]}"
        for path in files()
        if (path == under or under in path.parents) and name_of(path) not in but
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if sought.search(line)
    ]
