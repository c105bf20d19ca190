"""Programs on disk: found by name, read once, and never run here.

What a program declares of itself is read from its text: the kernel does not execute what it is about to confine.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.abi.names import check_name
from prytany.abi.program import pack_program, unpack_program
from prytany.abi.syscalls import PLEDGES
from prytany.kernel.outcome import Program
from prytany.system.looks import Looks
from prytany.system.modules import modules_beside

PLACE_CHARS_MAX = 1_024  # of a path, in what is said of it


class Read(NamedTuple):
    """A program's file, read: what its functions declare, and what is recorded of it and its modules."""

    path: str
    functions: dict[str, dict[str, str]]
    recorded: bytes

    def program(self, name: str) -> Program:
        """One of its functions or Servers. Raises as `find_program`."""
        path, declared = self.path, self.functions.get(name)
        if declared is None:
            raise Enoent(f"{path} has no function or Server {name!r}")
        if "sync" in declared:
            raise Einval(f"{name} in {path} has to be `async def`")
        pledge, serves = _pledge(declared.get("pledge", ""), path), "serves" in declared
        if serves and "ipc" not in pledge:
            raise Einval(f"{name} in {path} is a Server, so its pledge, a literal, needs `ipc`")
        return Program(f"{path}:{name}", declared.get("name") or name, self.recorded, pledge, serves)


def find_program(target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
    """Resolve `file.py:function`, or `:function` for one in the file of the program `beside`.

    With `recorded`, that program is taken as it was recorded, wherever its file is.

    Raises:
        Eacces: the file lies in one of the folders in `closed`, under whatever name.
        Enoent: no such file, or no such function in it.
        Einval: the file is no Python, it is too large with its modules, or what it declares is no pledge.
    """
    path, name = locate(target, beside, closed)
    return read_program(path, name, recorded, Looks()).program(name)


def locate(target: str, beside: str, closed: Sequence[str] = ()) -> tuple[str, str]:
    """The file and the function that `target` means; raises as `find_program`. Nothing is read, but for `closed`."""
    place, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        raise Einval(f"{target!r} is not file.py:function")
    path = _joined(place, beside.rpartition(":")[0])
    if not path.startswith("/"):
        path = str(Path(path).absolute())
    check_name(path)
    if place and closed:
        try:
            _refuse_closed(Path(path), closed)
        except (OSError, ValueError) as error:
            raise _unread(path, error) from None
    return path, name


@lru_cache(maxsize=1_024)
def _joined(place: str, own: str) -> str:
    """The file `place`, seen from the file `own`."""
    path = Path(place) if place else Path(own)
    return str(Path(own).parent / path if place and own and not path.is_absolute() else path)


def read_program(path: str, name: str, recorded: bytes, looks: Looks) -> Read:
    """Read the program in the file `path`, or in what was `recorded` of it, which declares `name`.

    Raises:
        Enoent, Einval: as `find_program`. What has no such function is not parsed, and modules beside it not read.
    """
    try:
        source = unpack_program(recorded).main if recorded else looks.text(path)
    except (OSError, ValueError) as error:
        raise _unread(path, error) from None
    _look_for(name, source, path)
    try:
        functions = _functions(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Einval(f"{path} is not Python: {_fault(error)}") from None
    Read(path, functions, b"").program(name)
    return Read(path, functions, recorded or pack_program(source, modules_beside(Path(path), source, looks)))


def _unread(path: str, error: OSError | ValueError) -> Enoent | Einval:
    place = path[:PLACE_CHARS_MAX]
    if isinstance(error, OSError):
        return Enoent(f"there is no program {place}: {error.strerror}")
    return Einval(f"{place!r} is no path: {error}")


def programs_in(path: Path) -> list[str]:
    """The names of what can be run of a file, for a person who named something else.

    Raises:
        Enoent: there is no such file.
        Einval: it is no Python; the message says where.
    """
    try:
        return [name for name, declared in _functions(Looks().text(str(path))).items() if "sync" not in declared]
    except OSError as error:
        raise Enoent(f"there is no program {path}: {error.strerror}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Einval(f"{path} is not Python: {_fault(error)}") from None


def _fault(error: Exception) -> str:
    return f"{error.msg} (line {error.lineno})" if isinstance(error, SyntaxError) else str(error)


def _look_for(name: str, source: bytes, path: str) -> None:
    """Refuse a text in which `name` cannot be found, before it is parsed.

    Parsing is dear, the kernel waits for it, and whoever spawns may name any file that there is.
    """
    # Python takes several spellings for a name that is not ASCII, so any such name will do for it.
    word = name.encode() + rb"\b" if name.isascii() else rb"\w*[\x80-\xff]"
    at_line = rb"^[ \t\f]*(async[ \t\\]+|)(def|class)[ \t]+" + word
    found = {(match[1] != b"", match[2]) for match in re.finditer(at_line, source, re.MULTILINE)}
    if (True, b"def") in found or ((False, b"class") in found and b"Server" in source):
        return
    if (False, b"def") in found:
        raise Einval(f"{name} in {path} has to be `async def`")
    raise Enoent(f"{path} has no function or Server {name!r}")


def _refuse_closed(path: Path, closed: Sequence[str]) -> None:
    real = Path(os.path.realpath(path))
    for folder in closed:
        if real.is_relative_to(os.path.realpath(folder)):
            raise Eacces(f"agents may write to {folder}, and what lies there is not run")


@lru_cache(maxsize=64)
def _functions(source: bytes) -> dict[str, dict[str, str]]:
    """What each function of a program's text declares. Kept by the text: a fleet spawns the same one often."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AsyncFunctionDef):
            found[node.name] = _declared(node)
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = {"sync": "yes"}
        elif isinstance(node, ast.ClassDef) and (declared := _server(node, found)) is not None:
            found[node.name] = declared
    return found


def _server(node: ast.ClassDef, found: dict[str, dict[str, str]]) -> dict[str, str] | None:
    """What a `Server` class declares, by itself or by the class of this file that it is made from; None for others."""
    for base in node.bases:
        name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        inherited = {"pledge": "ipc"} if name == "Server" else found.get(name, {})
        if name == "Server" or "serves" in inherited:
            own = {"serves": "yes", "pledge": inherited["pledge"]}
            for statement in node.body:
                target = (
                    statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
                )
                value = getattr(statement, "value", None)
                if getattr(target, "id", "") == "pledge":
                    own["pledge"] = str(value.value) if isinstance(value, ast.Constant) else ""
            return own | _declared(node)
    return None


def _declared(node: ast.AsyncFunctionDef | ast.ClassDef) -> dict[str, str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            function = decorator.func
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called == "agent":
                values = {k.arg: k.value for k in decorator.keywords if k.arg}
                return {
                    k: v.value for k, v in values.items() if isinstance(v, ast.Constant) and isinstance(v.value, str)
                }
    return {}


def _pledge(text: str, path: str) -> tuple[str, ...]:
    classes = tuple(text.split())
    for name in classes:
        if name not in PLEDGES:
            raise Einval(f"{path} pledges {name!r}; there are {', '.join(PLEDGES)}")
    return classes
