"""Record a terminal for the README, from the real thing: `python -m tools.record` writes docs/pictures/digest.svg.

The digest runs with the embedded model in a folder of its own; its kernel is killed half-way by `kill -9`, looked at,
and resumed. Only the folder's name is changed on the picture.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "digest.svg"
COLUMNS = 110
KILL_AFTER_ANSWERS = 3
ANSWER = re.compile(r"has its answer")
CUT = "…"


class Terminal:
    """What was typed and what came back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = Console(
            record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
        )

    def show(self, line: str, style: str = "") -> None:
        text = line.replace(str(self.folder), "~/demo")
        self.console.print(Text(text, style=style, no_wrap=True, overflow="ellipsis"))

    def type(self, command: str, *, kill_after: int = 0, first: int = 0, then: str = "", last: int = 0) -> None:
        """Run `command`, and show what it says.

        Args:
            command: as a person types it.
            kill_after: kill it after so many answers of the model.
            first: show so many lines of its beginning; all of them when it is 0.
            then: and the line that contains this, wherever it stands, with
            last: so many lines from there on.
        """
        self.show(f"$ {command}", "bold green")
        words = command.split()
        program = [sys.executable, "-m", "prytany.cli", *words[1:]]
        environment = {**os.environ, "PRYTANY_HOME": str(self.folder / ".prytany"), "COLUMNS": str(COLUMNS)}
        said: list[str] = []
        answers = 0
        with subprocess.Popen(
            program, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                said.append(line.rstrip("\n"))
                answers += ANSWER.search(line) is not None
                if kill_after and answers == kill_after:
                    running.send_signal(signal.SIGKILL)
                    break
        for line in _excerpt(said, first, then, last):
            self.show(line, "dim" if line == CUT else "")
        if kill_after:
            self.show("Killed", "bold red")


def _excerpt(said: list[str], first: int, then: str, last: int) -> list[str]:
    if not first or len(said) <= first:
        return said
    shown = [*said[:first], CUT]
    place = next((n for n, line in enumerate(said) if then and then in line), len(said))
    shown += said[max(place, first) : place + last]
    return [*shown, CUT] if first < place + last < len(said) else shown


def main() -> None:
    """Play the session and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "examples", folder / "examples")
        terminal = Terminal(folder)
        run = "prytany run examples/digest/main.py:editor --input examples/digest/documents"
        terminal.type(run, kill_after=KILL_AFTER_ANSWERS)
        terminal.show("")
        terminal.type("prytany ps")
        terminal.show("")
        terminal.type("prytany resume", first=9, then="model calls answered", last=5)
        terminal.show("")
        terminal.type("prytany journal verify")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    picture = terminal.console.export_svg(title="prytany")
    # No font from elsewhere, nor a comment on where one comes from: a picture sends nobody anywhere.
    picture = re.sub(r"@font-face\s*{[^}]*}|<!--.*?-->", "", picture, flags=re.S)
    PICTURE.write_text(picture)


if __name__ == "__main__":
    main()
