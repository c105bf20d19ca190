"""What rots is the one file that takes everything: files and functions stay small."""

from __future__ import annotations

import ast

from tests.tidy.repository import ROOT, modules

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

LONG_FILES: dict[str, str] = {"src/prytany/userland/calls.py": "generated: one method a system call"}
"""Files that may be longer, each with its reason: `{"src/prytany/…/x.py": "why"}`."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may be longer, each with its reason: `{"src/prytany/…/x.py:name": "why"}`."""


def lengths_of_files() -> dict[str, int]:
    return {name: len((ROOT / name).read_text().splitlines()) for name in modules()}


def lengths_of_functions() -> dict[str, int]:
    """From `def` to its last line, docstring included; a decorator is not counted."""
    found: dict[str, int] = {}
    for name, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                key = f"{name}:{node.name}"
                found[key] = max(length, found.get(key, 0))
    return found


def test_no_file_of_the_product_is_too_long() -> None:
    assert {n: size for n, size in lengths_of_files().items() if size > FILE_LINES_MAX and n not in LONG_FILES} == {}


def test_no_function_of_the_product_is_too_long() -> None:
    sizes = lengths_of_functions()
    assert {n: size for n, size in sizes.items() if size > FUNCTION_LINES_MAX and n not in LONG_FUNCTIONS} == {}


def test_the_allow_lists_name_only_what_still_needs_it() -> None:
    long_files = {name for name, size in lengths_of_files().items() if size > FILE_LINES_MAX}
    long_functions = {name for name, size in lengths_of_functions().items() if size > FUNCTION_LINES_MAX}
    assert set(LONG_FILES) - long_files == set()
    assert set(LONG_FUNCTIONS) - long_functions == set()


def test_every_module_of_the_product_says_what_it_is() -> None:
    assert [name for name, module in modules().items() if not ast.get_docstring(module)] == []
