"""Programs on disk: found by name, read once, and never run here.

What a program declares of itself is read from its text: the kernel does not execute what it is about to confine.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.abi.program import pack_program, unpack_program
from prytany.abi.syscalls import PLEDGES
from prytany.kernel.outcome import Program
from prytany.system.modules import modules_beside, read_text

PLACE_CHARS_MAX = 1_024  # of a path, in what is said of it


def find_program(target: str, beside: str, recorded: bytes = b"", *, closed: Sequence[str] = ()) -> Program:
    """Resolve `file.py:function`, or `:function` for one in the file of the program `beside`.

    With `recorded`, that program is taken as it was recorded, wherever its file is.

    Raises:
        Eacces: the file lies in one of the folders in `closed`, under whatever name.
        Enoent: no such file, or no such function in it.
        Einval: the file is no Python, it is too large with its modules, or what it declares is no pledge.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        raise Einval(f"{target!r} is not file.py:function")
    path = Path(place) if place else Path(beside.rpartition(":")[0])
    if place and not path.is_absolute() and beside:
        path = Path(beside.rpartition(":")[0]).parent / path
    path = path.absolute()
    try:
        if place and closed:
            _refuse_closed(path, closed)
        source = unpack_program(recorded).main if recorded else read_text(path)
    except OSError as error:
        raise Enoent(f"there is no program {(place or str(path))[:PLACE_CHARS_MAX]}: {error.strerror}") from None
    except ValueError as error:
        raise Einval(f"{place[:PLACE_CHARS_MAX]!r} is no path: {error}") from None
    _look_for(name, source, path)
    try:
        declared = _functions(source).get(name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Einval(f"{path} is not Python: {_fault(error)}") from None
    if declared is None:
        raise Enoent(f"{path} has no function or Server {name!r}")
    if "sync" in declared:
        raise Einval(f"{name} in {path} has to be `async def`")
    pledge, serves = _pledge(declared.get("pledge", ""), path), "serves" in declared
    if serves and "ipc" not in pledge:
        raise Einval(f"{name} in {path} is a Server, so its pledge, a literal, needs `ipc`")
    recorded = recorded or pack_program(source, modules_beside(path, source))
    return Program(f"{path}:{name}", declared.get("name") or name, recorded, pledge, serves)


def programs_in(path: Path) -> list[str]:
    """The names of what can be run of a file, for a person who named something else.

    Raises:
        Enoent: there is no such file.
        Einval: it is no Python; the message says where.
    """
    try:
        return [name for name, declared in _functions(read_text(path)).items() if "sync" not in declared]
    except OSError as error:
        raise Enoent(f"there is no program {path}: {error.strerror}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Einval(f"{path} is not Python: {_fault(error)}") from None


def _fault(error: Exception) -> str:
    return f"{error.msg} (line {error.lineno})" if isinstance(error, SyntaxError) else str(error)


def _look_for(name: str, source: bytes, path: Path) -> None:
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
    real = path.resolve()
    for folder in closed:
        if real.is_relative_to(Path(folder).resolve()):
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


def _pledge(text: str, path: Path) -> tuple[str, ...]:
    classes = tuple(text.split())
    for name in classes:
        if name not in PLEDGES:
            raise Einval(f"{path} pledges {name!r}; there are {', '.join(PLEDGES)}")
    return classes
