"""Programs on disk: found by name, read once, and never run here.

What a program declares of itself is read from its text: the kernel does not execute what it is about to confine.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from prytany.abi.errors import Einval, Enoent
from prytany.abi.program import pack_program
from prytany.abi.syscalls import PLEDGES
from prytany.kernel.outcome import Program
from prytany.system.modules import modules_beside, read_text

PLACE_CHARS_MAX = 1_024  # of a path, in what is said of it


def find_program(target: str, beside: str) -> Program:
    """Resolve `file.py:function`, or `:function` for one in the file of the program `beside`.

    Raises:
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
        source = read_text(path)
    except OSError as error:
        raise Enoent(f"there is no program {(place or str(path))[:PLACE_CHARS_MAX]}: {error.strerror}") from None
    except ValueError as error:
        raise Einval(f"{place[:PLACE_CHARS_MAX]!r} is no path: {error}") from None
    try:
        declared = _functions(source).get(name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Einval(f"{path} is not Python: {error}") from None
    if declared is None:
        raise Enoent(f"{path} has no function {name!r}")
    if "sync" in declared:
        raise Einval(f"{name} in {path} has to be `async def`")
    recorded = pack_program(source, modules_beside(path, source))
    return Program(f"{path}:{name}", declared.get("name") or name, recorded, _pledge(declared.get("pledge", ""), path))


@lru_cache(maxsize=64)
def _functions(source: bytes) -> dict[str, dict[str, str]]:
    """What each function of a program's text declares. Kept by the text: a fleet spawns the same one often."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AsyncFunctionDef):
            found[node.name] = _declared(node)
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = {"sync": "yes"}
    return found


def _declared(node: ast.AsyncFunctionDef) -> dict[str, str]:
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
