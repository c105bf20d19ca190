"""The environment of a program: which interpreter runs it, and what is installed there.

A program is recorded whole; what it imports from an environment is there by path. So the environment's identity is
recorded with it, and a change is told when the process comes back. Nothing of an environment is run to find out: its
version and packages are read from its folders.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from prytany.abi.errors import Einval, Enoent

_DIGEST_CHARS = 16


def find_python(place: str) -> str:
    """The interpreter that a person means: a path to one, or to a virtual environment. "" stays "": the kernel's own.

    A link is kept: a virtual environment is known by the link to its interpreter.

    Raises:
        Enoent: there is none.
        Einval: it cannot be executed.
    """
    if not place:
        return ""
    path = Path(place).absolute()
    if path.is_dir():
        path = path / "bin" / "python"
    if not path.is_file():
        raise Enoent(f"there is no Python at {path}")
    if not os.access(path, os.X_OK):
        raise Einval(f"{path} cannot be executed")
    return str(path)


class Environments:
    """The identities of environments; looked at again when something was installed or removed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[Path], tuple[int, ...], str]] = {}  # folders, when they changed, identity

    def identity(self, python: str) -> str:
        """What the environment of `python` is now: `version prefix digest`, or "" when it cannot be told."""
        known = self._known.get(python)
        try:
            if known is not None and known[1] == tuple([os.stat(folder).st_mtime_ns for folder in known[0]]):
                return known[2]
            prefix = Path(python).parent.parent if python else Path(sys.prefix)
            folders = sorted(prefix.glob("lib/python3.*/site-packages")) if known is None else known[0]
            stamps = tuple([os.stat(folder).st_mtime_ns for folder in folders])
            known = self._known[python] = (folders, stamps, _identity(python, prefix, folders))
        except OSError:
            self._known.pop(python, None)
            return ""
        return known[2]


def _identity(python: str, prefix: Path, folders: list[Path]) -> str:
    names: list[str] = []
    for folder in folders:
        names += (f"{folder.parent.name}/{name}" for name in os.listdir(folder) if name.endswith(".dist-info"))
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:_DIGEST_CHARS]
    version = sys.version.split()[0] if not python else _version(prefix) or "?"
    return f"{version} {prefix} {digest}"


def _version(prefix: Path) -> str:
    """The version that a virtual environment was made with."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    values = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    return values.get("version_info") or values.get("version") or ""
