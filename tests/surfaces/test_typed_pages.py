"""Pages of the manual are typed, from the first line to the last, in one shell: each command does well and says what is
shown.

In a console, `$ ` is typed to the shell and `> ` to the command above it; any other line is a part of what that says,
`…` in it stands for any text. A file is written when its block is met: one that is named behind its language, or at the
beginning of a module's docstring, or the fleet file.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from prytany.drivers.models.weights import find_weights
from tests.tidy.repository import ROOT, text_of
from tests.tidy.test_documents import FENCE

MANUAL = ROOT / "docs" / "manual"
TUTORIAL = MANUAL / "tutorial.md"
TYPED = [TUTORIAL, MANUAL / "chat-agents.md"]
NOT_HERE = re.compile(r"python3 -m venv|\. \.venv/|pip install|prytany models fetch")
"""What brings Prytany and the model onto a machine: they are on this one."""
MAY_FIND = re.compile(r"prytany doctor")
"""What ends with 1 where this machine lacks something that a fleet can do without."""
SESSION = re.compile(r"(?<=^prytany )(attach|inspect|trace|sessions end) 4\b")
"""The number of the session depends on what the model had started before; the shell takes it from what `chat` said."""
UP = "until prytany status >/dev/null 2>&1; do kill -0 $! || exit 99; done"


class Typed(NamedTuple):
    """One command: what is typed to it, and what is shown of what it says."""

    command: str
    lines: list[str]
    shown: list[str]


class Written(NamedTuple):
    """One file."""

    name: str
    text: str


def steps(page: Path) -> list[Typed | Written]:
    found: list[Typed | Written] = []
    for match in FENCE.finditer(text_of(page) or ""):
        (language, *named_so), body = match["info"].split(), match["body"]
        if named_so:
            found.append(Written(named_so[0], body))
        elif language == "yaml":
            found.append(Written("fleet.yaml", body))
        elif language == "python":
            named = re.match(r'"""([\w/]+\.py)', body)
            assert named is not None, body
            found.append(Written(named[1], body))
        else:
            assert language == "console", language
            found += console(body)
    return found


def console(body: str) -> list[Typed]:
    found: list[Typed] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Typed(line[2:], [], []))
        elif line.startswith("> "):
            found[-1].lines.append(line[2:])
        else:
            found[-1].shown.append(line)
    return found


def script(page: Path, places: Path) -> str:
    """What the shell is given; what each command says goes to a file of its number."""
    lines = ["trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT"]
    for number, step in enumerate(steps(page)):
        match step:
            case Written(name, text):
                lines.append(f"mkdir -p $(dirname {name})\ncat > {name} <<'END OF FILE'\n{text}END OF FILE")
            case Typed(command, said, _) if not NOT_HERE.match(command):
                into = f"> {shlex.quote(str(places / str(number)))} 2>&1"
                if command.endswith("&"):
                    lines += [f"{command[:-1]} {into} &", UP]
                    continue
                given = f" <<'END OF LINES'\n{chr(10).join(said)}\nEND OF LINES\n" if said else "</dev/null\n"
                most = 1 if MAY_FIND.match(command) else 0
                typed = SESSION.sub(r"\1 $session", command.partition("  #")[0])
                lines.append(f"{{ {typed}\n}} {into} {given}[ $? -le {most} ] || exit {number}")
                if command.endswith("--keep"):
                    lines.append(f"session=$(sed -n 's/^session \\([0-9]*\\);.*/\\1/p' {places / str(number)})")
            case _:
                pass
    return "\n".join(lines) + "\n"


def type_it(page: Path, folder: Path, **environment: str) -> None:
    places = folder / "said"
    places.mkdir()
    own = {key: value for key, value in os.environ.items() if not key.startswith("PRYTANY_")}
    own |= {"PATH": f"{Path(sys.executable).parent}:{own['PATH']}", **environment}
    done = subprocess.run(
        ["bash", "-c", script(page, places)],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = {int(path.name): path.read_text() for path in places.iterdir()}
    assert done.returncode == 0, (done.returncode, done.stderr, said[max(said)])
    for number, step in enumerate(steps(page)):
        if isinstance(step, Typed) and number in said:
            for line in step.shown:
                pattern = re.escape(line).replace("…", ".*").replace("\\ ", r"\s+")
                assert re.search(f"^{pattern}$", said[number], re.M), (step.command, line, said[number])


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.stem)
def test_a_page_is_typed_as_it_stands(page: Path, tmp_path: Path) -> None:
    type_it(page, tmp_path, PRYTANY_MODEL="scripted", PRYTANY_HOME="" if page == TUTORIAL else str(tmp_path / "home"))


@pytest.mark.slow
def test_the_tutorial_works_with_the_model_that_it_fetches(tmp_path: Path) -> None:
    if find_weights() is None:
        pytest.skip("the embedded model is not here: prytany models fetch")
    type_it(TUTORIAL, tmp_path)


def test_it_is_ten_commands_to_two_agents_that_ran() -> None:
    first = [step.command for step in steps(TUTORIAL) if isinstance(step, Typed)][:10]
    assert [n for n, command in enumerate(first, 1) if command.startswith("prytany run")] == [9, 10]
    assert "--entry librarian" in first[9]
