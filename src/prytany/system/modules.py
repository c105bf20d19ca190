"""The modules beside a program that it imports, found in its text: nothing is run, nothing outside its folder is read.

An import counts wherever it stands: at the top, in a function, below an `if` or a `try`, and as a literal handed to
`import_module` or `__import__`. What a program makes up at run time is not seen, and data files are no modules: neither
is recorded. A name that lies beside the program hides an installed one, as it does for a script.
"""

from __future__ import annotations

import ast
import os
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from prytany.abi.errors import Einval
from prytany.abi.limits import PROGRAM_BYTES_MAX, PROGRAM_MODULES_MAX
from prytany.abi.program import MODULE, NAMESPACE, PACKAGE, Module
from prytany.system.looks import Looks

OURS = "prytany"
"""Never recorded with a program: a worker has its own."""

Import = tuple[int, str, tuple[str, ...]]
"""Dots in front, module, names taken from it: `from ..a import b` is (2, "a", ("b",))."""


def modules_beside(main: Path, text: bytes, looks: Looks | None = None, *, links: bool = False) -> list[Module]:
    """The modules of the folder of `main` that it imports, and those that these import, by name.

    Args:
        main: the program's file.
        text: what it holds.
        looks: takes note of what is read.
        links: follow those that lead out of the folder, too. Never for what an agent is handed: whoever made the
            folder would have it read for them what lies anywhere.

    Raises:
        Einval: they are too many, or too large together.
    """
    roots = () if links else (os.path.realpath(main.parent), os.path.dirname(os.path.realpath(main)))
    return _Search(str(main.parent), looks or Looks(), roots).run(text)


class _Search:
    """One walk over a program's imports."""

    def __init__(self, folder: str, looks: Looks, roots: tuple[str, ...]) -> None:
        self._folder = folder
        self._roots = roots
        self._looks = looks
        self._names: dict[str, frozenset[str]] = {}
        self._found: dict[str, Module] = {}
        self._unread: deque[tuple[str, Module]] = deque()
        self._bytes = 0
        self._beside = {name.removesuffix(".py") for name in self._list(folder)}

    def run(self, text: bytes) -> list[Module]:
        self._bytes = len(text)
        self._follow("", imports_of(text))
        while self._unread:
            package, module = self._unread.popleft()
            self._follow(package, imports_of(module.text))
        return [self._found[name] for name in sorted(self._found)]

    def _follow(self, package: str, imports: tuple[Import, ...]) -> None:
        """Look for what a module in `package` imports ("" is the program's folder)."""
        for dots, name, taken in imports:
            base = name
            if not dots and name.partition(".")[0] not in self._beside:
                continue  # nearly every import: it is installed
            if dots:
                above = package.split(".")[: len(package.split(".")) - (dots - 1)]
                if not package or not above:
                    continue  # beyond the top: an ImportError when it runs
                base = ".".join((*above, name)) if name else ".".join(above)
            if not self._add(base):
                continue
            for part in taken:
                for one in _all_of(self._found[base].text) if part == "*" else (part,):
                    self._add(f"{base}.{one}")

    def _add(self, name: str) -> bool:
        """Record the module of that name and the packages above it; whether it lies beside the program."""
        parts = name.split(".")
        if parts[0] == OURS:
            return False
        for end in range(1, len(parts) + 1):
            above, below = ".".join(parts[:end]), parts[end : end + 1]
            if above not in self._found and not self._read(above, below):
                return False
        return True

    def _read(self, name: str, below: list[str]) -> bool:
        *parents, last = name.split(".")
        folder = os.path.join(self._folder, *parents)
        names = self._list(folder)
        if last not in names and f"{last}.py" not in names:
            return False
        inside = self._list(os.path.join(folder, last)) if last in names else frozenset[str]()
        if "__init__.py" in inside:
            kind, path = PACKAGE, os.path.join(folder, last, "__init__.py")
        elif f"{last}.py" in names:
            kind, path = MODULE, os.path.join(folder, f"{last}.py")
        elif below and (below[0] in inside or f"{below[0]}.py" in inside):
            kind, path = NAMESPACE, ""
        else:
            return False
        if path and self._leads_out(path):
            return False
        try:
            text = self._looks.text(path) if path else b""
        except OSError:
            return False  # importing it fails where the program does it, as for any file that cannot be read
        self._bytes += len(text)
        if len(self._found) == PROGRAM_MODULES_MAX or self._bytes > PROGRAM_BYTES_MAX:
            raise Einval(
                f"the program in {self._folder} imports more than {PROGRAM_MODULES_MAX} modules beside it, or they "
                f"have more than {PROGRAM_BYTES_MAX} bytes; install them into an environment instead (--python)"
            )
        self._found[name] = module = Module(name, kind, text)
        self._unread.append((name if kind == PACKAGE else ".".join(parents), module))
        return True

    def _leads_out(self, path: str) -> bool:
        real = os.path.realpath(path)
        return bool(self._roots) and not any(real.startswith(os.path.join(root, "")) for root in self._roots)

    def _list(self, folder: str) -> frozenset[str]:
        """The names in a folder, looked up once a walk; none when it is no folder."""
        names = self._names.get(folder)
        if names is None:
            names = self._names[folder] = self._looks.names(folder)
        return names


@lru_cache(maxsize=256)
def imports_of(text: bytes) -> tuple[Import, ...]:
    """Every import in a module's text; none in what is not Python. Kept by the text: a fleet spawns one often."""
    return tuple(dict.fromkeys(_imports(text)))


def _imports(text: bytes) -> Iterator[Import]:
    for node in ast.walk(_parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value
            if called in ("import_module", "__import__") and isinstance(name, str) and not name.startswith("."):
                yield 0, name, ()


@lru_cache(maxsize=64)
def _all_of(text: bytes) -> tuple[str, ...]:
    """What a module's `__all__` says, where it is a plain list: `from package import *` imports such submodules."""
    for node in _parse(text).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
            listed = getattr(node.value, "elts", [])
            return tuple(e.value for e in listed if isinstance(e, ast.Constant) and isinstance(e.value, str))
    return ()


def _parse(text: bytes) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
