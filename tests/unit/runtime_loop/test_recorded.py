"""A recorded program imports what was recorded with it, and nothing from beside it on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.program import MODULE, NAMESPACE, PACKAGE, Module, pack_program
from tests.unit.runtime_loop.kernel_end import run

MAIN = b"""
import helper, pack.inner
from space.leaf import here

async def main(proc):
    packages = pack.__package__, pack.inner.__package__
    return [helper.said(), pack.inner.up, here, helper.__file__, pack.__path__, *packages]

async def fails(proc):
    helper.fails()

async def unrecorded(proc):
    import importlib
    try:
        importlib.import_module("pack." + "other")
    except ImportError as error:
        said = str(error)
    try:
        from pack import other
    except ImportError as error:
        return [said, str(error)]

async def beside(proc):
    import importlib
    importlib.import_module("besi" + "de")

async def optional(proc):
    from importlib.util import find_spec
    return [find_spec("beside") is None, find_spec("helper").origin]
"""
MODULES = [
    Module(
        "helper", MODULE, b"def said():\n    return 'recorded'\n\ndef fails():\n    raise ValueError('in helper')\n"
    ),
    Module("pack", PACKAGE, b"top = 'top'"),
    Module("pack.inner", MODULE, b"from . import top\nup = top + ' inner'"),
    Module("space", NAMESPACE),
    Module("space.leaf", MODULE, b"here = __name__"),
]
SOURCE = pack_program(MAIN, MODULES)


def test_modules_come_from_the_record_and_not_from_the_disk(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("raise RuntimeError('changed on disk')")
    ended = run(f"{tmp_path}/main.py:main", source=SOURCE).ending
    assert ended[1] == ["recorded", "top inner", "space.leaf", f"{tmp_path}/helper.py", [], "pack", "pack"], ended


def test_a_traceback_shows_the_recorded_lines(tmp_path: Path) -> None:
    error = run(f"{tmp_path}/main.py:fails", source=SOURCE).ending[2]
    assert error is not None
    assert "raise ValueError('in helper')" in error["traceback"]
    assert "helper.fails()" in error["traceback"]


@pytest.mark.parametrize(
    ("head", "encoding", "word"),
    [("# coding: latin-1\n", "latin-1", "p\u00eache"), ("\ufeff", "utf-8", "p\u00eache"), ("\r\n", "ascii", "coding")],
    ids=["declared", "marked", "other line ends"],
)
def test_a_traceback_reads_the_text_as_the_compiler_did(tmp_path: Path, head: str, encoding: str, word: str) -> None:
    text = f"{head}async def main(proc):\r\n    raise ValueError('{word}')\r\n"
    error = run(f"{tmp_path}/main.py", source=pack_program(text.encode(encoding), [])).ending[2]
    assert error is not None
    assert error["message"] == word
    assert f"    raise ValueError('{word}')\n" in error["traceback"]


def test_what_was_not_recorded_says_why_it_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("")
    asked, taken = run(f"{tmp_path}/main.py:unrecorded", source=SOURCE).ending[1]
    assert "not recorded" in asked
    assert "cannot import name" in taken
    error = run(f"{tmp_path}/main.py:beside", source=SOURCE).ending[2]
    assert error is not None
    assert (error["type"], "not recorded" in error["traceback"]) == ("ModuleNotFoundError", True)


def test_asking_whether_a_module_is_there_is_no_error(tmp_path: Path) -> None:
    assert run(f"{tmp_path}/main.py:optional", source=SOURCE).ending[1] == [True, f"{tmp_path}/helper.py"]


def test_a_record_of_the_main_file_alone_still_reads_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def said():\n    return 'from disk'\n")
    plain = b"import helper\nasync def main(proc):\n    return helper.said()\n"
    assert run(f"{tmp_path}/main.py:main", source=plain).ending[1] == "from disk"
