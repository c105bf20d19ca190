"""Documents lead where they say, are as short as they ought to be, and their Python is Python.

That it runs is seen to in `tests/surfaces/test_documents.py`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, files, name_of, text_of

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<body>.*?)^ *(?P=fence) *$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)", re.M)
GENERATED = ("syscalls.md",)
PAGE_LINES_MAX = 120
DECISION_LINES_MAX = 50
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.M)


def prose(path: Path) -> str:
    """The document without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text_of(path) or ""))


def anchors(path: Path) -> set[str]:
    """The names that a link into the document may end with, made as GitHub makes them."""
    titles = (re.sub(r"[`*]", "", title) for title in HEADING.findall(FENCE.sub("", text_of(path) or "")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(path: Path) -> Iterator[str]:
    for match in LINK.finditer(prose(path)):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists():
            yield f"{name_of(path)}: {target} is not there"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            yield f"{name_of(path)}: {target} names no heading"


def python_blocks() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in DOCUMENTS:
        text = text_of(path) or ""
        for match in FENCE.finditer(text):
            if match["info"].split() and match["info"].split()[0] == "python":
                indent = len(match["indent"])
                body = "\n".join(line[indent:] for line in match["body"].splitlines())
                found.append((f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}", body))
    return found


def test_relative_links_lead_somewhere() -> None:
    assert [line for path in DOCUMENTS for line in broken_links(path)] == []


@pytest.mark.parametrize(("place", "code"), python_blocks())
def test_python_in_documents_compiles(place: str, code: str) -> None:
    compile(code, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def test_each_decision_has_a_number_of_its_own_its_parts_and_a_place_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = [path for path in DOCUMENTS if path.parent == folder and path.name != "README.md"]
    index = re.sub(r"\s+", " ", text_of(folder / "README.md") or "")
    numbers = [int(path.name[:4]) for path in pages]
    assert sorted(set(numbers)) == sorted(numbers)
    for path, number in zip(pages, numbers, strict=True):
        text = text_of(path) or ""
        title, *parts = HEADING.findall(text)
        assert title.startswith(f"{number}. "), path.name
        assert parts == ["Context", "Decision", "Rejected", "Consequences"], path.name
        assert f"[{title}]({path.name})" in index, path.name
        assert len(text.splitlines()) <= DECISION_LINES_MAX, path.name


def test_pages_of_the_manual_are_short() -> None:
    pages = [path for path in DOCUMENTS if path.parent == ROOT / "docs" / "manual" and path.name not in GENERATED]
    sizes = {name_of(path): len((text_of(path) or "").splitlines()) for path in pages}
    assert {name: size for name, size in sizes.items() if size > PAGE_LINES_MAX} == {}


def test_each_page_of_the_manual_has_a_place_in_its_index() -> None:
    folder = ROOT / "docs" / "manual"
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text_of(folder / "README.md") or ""))
    assert linked == {path.name for path in DOCUMENTS if path.parent == folder} - {"README.md"}


def test_files_that_documents_name_are_there() -> None:
    known = {name_of(path) for path in files()}
    short = {path.name for path in files()}
    for path in (ROOT / "CAVEATS.md", ROOT / "ARCHITECTURE.md", ROOT / "README.md"):
        for said in re.findall(r"`([\w/]+\.py)`", text_of(path) or ""):
            there = said in known or f"src/prytany/{said}" in known or ("/" not in said and said in short)
            assert there or "FILE" in said, f"{name_of(path)}: {said}"
