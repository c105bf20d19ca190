"""What README and manual show is so: their programs run in real workers, and their commands exist with these options.

A block of Python that declares a tool is a file of tools, one that has a `main` is a program, and any other is the body
of a program. `# returns VALUE` after a program says what it gives; `%` in it stands for any text.
A block may begin with the name of its file: `shop.py: …` in its docstring. Runs of such files are typed as they stand.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prytany.cli import failure, run, wait
from prytany.cli.main import app
from prytany.drivers.models.scripted import ScriptedModel
from prytany.system.shard import Shard
from tests.surfaces.test_digest import DOCUMENTS
from tests.tidy.repository import ROOT, files, name_of, text_of
from tests.tidy.test_documents import FENCE

DEADLINE_S = 120
TEMPLATE = ROOT / "src" / "prytany" / "cli" / "template" / "README.md"
PAGES = [ROOT / "README.md", TEMPLATE, *(path for path in files() if path.parent == ROOT / "docs" / "manual")]
RETURNS = re.compile(r"^# returns (.+)$", re.M)
FILE = re.compile(r'^(?:"""|# )([\w/]+\.py)\b')
EVERYTHING = "proc ipc model tools files.read files.write"
COMMANDS = app
OTHERS = {
    "export", "mkdir", "cd", "cat", "cp", "echo", "kill", "python3", ".", "pip", "systemctl", "docker", "chmod",
    "chown",
}  # fmt: skip
"""What consoles show beside `prytany`, `make` and `python`."""


class Block(NamedTuple):
    """One block of a page; a program is granted the tools of its page."""

    place: str
    language: str
    text: str

    @property
    def page(self) -> str:
        return self.place.partition(":")[0]

    @property
    def named(self) -> str:
        found = FILE.match(self.text)
        return found[1] if found else ""

    @property
    def file(self) -> str:
        return self.named or f"{re.sub(r'[^a-z0-9]+', '_', self.place.lower())}.py"


def blocks(language: str) -> list[Block]:
    found: list[Block] = []
    for path in PAGES:
        text = text_of(path) or ""
        for match in FENCE.finditer(text):
            if match["info"].split()[:1] == [language]:
                place = f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}"
                found.append(Block(place, language, match["body"]))
    return found


def names_in(block: Block) -> set[str]:
    body = ast.parse(block.text).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def is_tools(block: Block) -> bool:
    return "@tool" in block.text


def program_of(block: Block) -> str:
    """The block, or a program with the block as its body."""
    if "main" in names_in(block):
        return block.text
    body = "".join(f"    {line}\n" for line in block.text.splitlines())
    return f"from prytany import agent\n\n@agent(pledge={EVERYTHING!r})\nasync def main(proc):\n{body}"


async def ends(folder: Path) -> dict[str, dict[str, Any]]:
    """How each program of the pages ended, all in one kernel; by its place."""
    tools = [block for block in blocks("python") if is_tools(block)]
    programs = [block for block in blocks("python") if not is_tools(block)]
    granted: dict[str, list[str]] = {}
    for block in tools:
        (folder / block.file).write_text(block.text)
        granted.setdefault(block.page, []).append(str((folder / block.file).resolve()))
    every = [Path(path) for paths in granted.values() for path in paths]
    shard = await Shard.open(folder / "home", {"": ScriptedModel()}, tools=every)
    try:
        pids: dict[str, int] = {}
        for number, block in enumerate(programs):
            source, output = folder / f"{number}" / "program.py", folder / f"{number}" / "output"
            output.mkdir(parents=True)
            source.write_text(program_of(block))
            taken: dict[str, Any] = {}
            if "input: str" in block.text:
                taken = {"input": str(DOCUMENTS), "output": str(output)}
            elif "folders: list" in block.text:
                taken = {"folders": [str(DOCUMENTS)]}
            pids[block.place] = shard.kernel.operator.spawn(
                f"{source}:main", [], taken,
                uid=0, unveil={str(DOCUMENTS): "r", str(output): "rw"}, tools=granted.get(block.page, ()),
            )  # fmt: skip
        async with asyncio.timeout(DEADLINE_S):
            found = await asyncio.gather(*map(shard.kernel.operator.wait_ended, pids.values()))
        return dict(zip(pids, found, strict=True))
    finally:
        await shard.close()


def test_the_programs_of_the_pages_run_and_give_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "a key")
    ended = asyncio.run(ends(tmp_path))
    assert len(ended) >= 10
    assert {place: end["error"] for place, end in ended.items() if end["status"] != 0} == {}
    for block in blocks("python"):
        for said in RETURNS.findall(block.text):
            pattern = re.escape(repr(ast.literal_eval(said))).replace("%", ".*")
            assert re.fullmatch(pattern, repr(ended[block.place]["result"])), (
                block.place,
                ended[block.place]["result"],
            )


def typed(block: Block) -> Iterator[list[str]]:
    """The commands of a console, as words, without comments and settings of the environment."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            words = shlex.split(line[2:], comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            words = words[:-1] if words[-1:] == ["&"] else words
            yield words[: words.index(">")] if ">" in words else words


def parse(words: list[str]) -> None:
    """Raise what a command line is refused with; nothing is run."""
    command: Any = COMMANDS
    context: Any = None
    name, rest = "prytany", words
    while True:
        context = command.make_context(name, list(rest), parent=context)
        inner = getattr(context, "_protected_args", None)
        if not inner:
            return
        name, rest = inner[0], [*inner[1:], *context.args]
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.place)
def test_what_a_console_shows_can_be_typed(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in typed(block):
        match Path(words[0]).name or words[0], words[1:]:
            case "prytany", rest:
                parse(rest)
            case "make", [target]:
                assert target in targets
            case "python", ["-m", module, *_]:
                assert (ROOT / f"{module.replace('.', '/')}.py").exists()
            case other, _:
                assert other in OTHERS, other


def runs() -> list[tuple[str, list[str]]]:
    """The runs that pages show of files that they show: page and words."""
    return [
        (block.page, words)
        for block in blocks("console")
        for words in typed(block)
        if words[:2] == ["prytany", "run"]
        and words[2].partition(":")[0] in {b.named for b in blocks("python") if b.page == block.page}
    ]


@pytest.mark.parametrize(("page", "words"), runs(), ids=lambda value: value if isinstance(value, str) else value[2])
def test_a_run_that_a_page_shows_works_when_it_is_typed(tmp_path: Path, page: str, words: list[str]) -> None:
    for block in blocks("python"):
        if block.page == page and block.named:
            (tmp_path / block.named).parent.mkdir(exist_ok=True)
            (tmp_path / block.named).write_text(block.text)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for made in (made for block in blocks("console") if block.page == page for made in typed(block)):
        if made[:2] == ["mkdir", "-p"]:
            (tmp_path / made[2]).mkdir(exist_ok=True)
    words = [word.replace("$PWD", str(tmp_path)) for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "prytany.cli", *words[1:], "--model", "scripted", "--home", str(tmp_path / "home")],
        cwd=tmp_path, env={**os.environ, "SHOP_KEY": "a key"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Every command with its long options."""
    below = getattr(command, "commands", {})
    options = [name for param in command.params for name in param.opts if name.startswith("--")]
    if path:
        yield " ".join(path), options
    for name in sorted(below):
        yield from commands(below[name], (*path, name))


def test_a_command_line_that_does_not_exist_would_be_found() -> None:
    for line in ("wait", "run a:b --nope", "journal nothing", "incidents retry 1", "ps --json=3"):
        with pytest.raises(BaseException, match=r".") as raised:
            parse(line.split())
        assert isinstance(raised.value, AssertionError) or hasattr(raised.value, "exit_code")


def test_the_page_of_the_command_line_has_every_command_and_option() -> None:
    page = "".join((ROOT / "docs" / "manual" / name).read_text() for name in ("cli.md", "exit-codes.md"))
    missing = []
    known = {"--help", "--version"}
    for name, options in commands(COMMANDS):
        rows = [line for line in page.splitlines() if re.match(rf"\| `{name}[ `]", line)]
        if not rows and name not in ("fleet", "models", "journal", "service"):
            missing.append(name)
        shown = "\n".join(rows)
        common = {"--home"} | (
            {"--model", "--running", "--running-of", "--unconfined"} if name in ("run", "resume") else set()
        )
        missing += [f"{name} {option}" for option in options if option not in shown and option not in common]
        known |= set(options)
    assert missing == []
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known
    codes = {
        failure.INTERRUPTED,
        failure.OUTPUT_CLOSED,
        run.DISK_FULL,
        run.JOURNAL_FAILED,
        wait.TIMED_OUT,
        wait.FAILED,
        wait.NOT_THERE,
        0,
        1,
        2,
    }
    assert codes <= {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.M)}


def test_what_prose_calls_a_command_is_one() -> None:
    names = {name for name, _ in commands(COMMANDS)}
    for path in [*PAGES, ROOT / "CAVEATS.md", ROOT / "ARCHITECTURE.md"]:
        for said in re.findall(r"`prytany ([a-z]+(?: [a-z]+)?)", text_of(path) or ""):
            assert said in names or said.split()[0] in names, f"{name_of(path)}: prytany {said}"
