"""The table lists what its handlers can end with: every errno that their source raises, by itself or by what it calls.

Which errno a branch ends with is not looked at: what a shared function raises counts for all that call it.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from prytany.abi import errors
from prytany.abi.syscalls import COMMON_ERRORS, SYSCALLS, Syscall
from prytany.kernel import handlers

ERRNOS = {
    name: kind.errno
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.KernelError) and kind is not errors.KernelError
}
OUTSIDE = {
    "known_program": {"ENOENT", "EACCES"},
    "content": {"EIO"},
    "content_of": {"EIO"},
    "find": {"EPOLICY"},
    "of": {"EPOLICY"},
    "narrowed": {"EPERM"},
}
"""What the context's own methods raise, and its toolbox's, as they say."""


def _functions() -> dict[str, ast.FunctionDef]:
    trees = [ast.parse(path.read_text()) for path in Path(handlers.__file__).parent.glob("*.py")]
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


FUNCTIONS = _functions()


def _raised(name: str, seen: set[str]) -> set[str]:
    found = set(OUTSIDE.get(name, ()))
    if name in seen or name not in FUNCTIONS:
        return found
    seen.add(name)
    for node in ast.walk(FUNCTIONS[name]):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        found |= {ERRNOS[called]} if called in ERRNOS else _raised(called, seen)
    return found


@pytest.mark.parametrize("call", SYSCALLS, ids=lambda call: str(call.name))
def test_a_handler_ends_with_nothing_that_the_table_does_not_list(call: Syscall) -> None:
    assert f"sys_{call.name}" in FUNCTIONS
    assert _raised(f"sys_{call.name}", set()) <= COMMON_ERRORS.keys() | call.errors.keys()
