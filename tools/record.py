"""Record terminals for the README, from the real thing: `python -m tools.record` writes docs/pictures.

`digest.svg`: the digest runs with the embedded model in a folder of its own; its kernel is killed half-way by
`kill -9`, looked at, and resumed. `live.svg`: the same, as a terminal shows it while it runs, and a conversation.
`queue.svg`: the same behind the terminal, and who waits for the model meanwhile, why, and what each run may spend.
Only the folder's name is changed on the pictures.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, LINES = 110, 30
FRAME = re.compile(rb"\r(?:\x1b\[2K(?:\x1b\[1A)?)+")
"""How the table is taken back before it is drawn again."""
KILL_AFTER_ANSWERS = 3
ANSWER = re.compile(r"has its answer")
CUT = "…"


class Terminal:
    """What was typed and what came back."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.place = folder
        self.console = Console(
            record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
        )

    def show(self, line: str, style: str = "") -> None:
        text = line.replace(str(self.folder), "~/demo")
        self.console.print(Text(text, style=style), no_wrap=True, overflow="ellipsis")

    def environment(self) -> dict[str, str]:
        """Of what is typed: nothing of whoever records says which model is asked, or which home is used."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("PRYTANY_") and key != "NO_COLOR"}
        return {**own, "COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}

    def enter(self, name: str) -> None:
        """Change to a folder."""
        self.show(f"$ cd {name}", "bold green")
        self.place /= name

    def talk(self, command: str, *lines: str) -> None:
        """Run `command`, type the lines to it, and show the answers below each."""
        self.show(f"$ {command}", "bold green")
        done = subprocess.run(
            self.program(command), cwd=self.place, env=self.environment(), input="".join(f"{line}\n" for line in lines),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.show(done.stderr.splitlines()[0])
        answers = done.stdout.splitlines()
        assert len(answers) == len(lines), done.stdout
        for line, answer in zip(lines, answers, strict=True):
            self.show(f"> {line}", "bold")
            for part in textwrap.wrap(answer, COLUMNS):
                self.show(part)

    def watch(self, command: str, until: str) -> None:
        """Run `command` on a terminal, and show the first picture of it in which `until` stands."""
        self.show(f"$ {command}", "bold green")
        ours, theirs = pty.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        running = subprocess.Popen(
            self.program(command), cwd=self.place, env=self.environment(), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        drawn = b""
        while until.encode() not in drawn:
            drawn += os.read(ours, 1 << 16)
        whole = next(frame for frame in FRAME.split(drawn) if until.encode() in frame)
        for line in whole.decode().splitlines():
            self.console.print(Text.from_ansi(line), no_wrap=True)
        running.kill()
        running.wait()
        os.close(ours)

    @contextmanager
    def behind(self, command: str, answers: int) -> Generator[None]:
        """Run `command` behind what is typed next, from when it has so many answers of the model."""
        self.show(f"$ {command} &", "bold green")
        with subprocess.Popen(
            self.program(command), cwd=self.place, env=self.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as running:  # fmt: skip
            assert running.stdout is not None
            had = 0
            while had < answers and (line := running.stdout.readline()):
                had += ANSWER.search(line) is not None
            yield
            running.kill()

    def program(self, command: str) -> list[str]:
        """What is run for what is typed."""
        return [sys.executable, "-m", "prytany.cli", *command.split()[1:]]

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
        said: list[str] = []
        answers = 0
        with subprocess.Popen(
            self.program(command), cwd=self.place, env=self.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as running:  # fmt: skip
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


def digest(terminal: Terminal) -> None:
    """A run that is killed and resumed."""
    terminal.type("prytany run examples/digest", kill_after=KILL_AFTER_ANSWERS)
    terminal.show("")
    terminal.type("prytany ps")
    terminal.show("")
    terminal.type("prytany resume", first=9, then="run 1: ", last=5)
    terminal.show("")
    terminal.type("prytany journal verify")


def live(terminal: Terminal) -> None:
    """A run while it goes on, and a conversation."""
    terminal.watch("prytany run examples/digest", f"{KILL_AFTER_ANSWERS} model calls answered")
    terminal.show("")
    terminal.type("prytany init bakery", first=1)
    terminal.enter("bakery")
    terminal.talk("prytany chat", "When does the bakery open?")
    terminal.show("")
    terminal.type("prytany tree")


def queue(terminal: Terminal) -> None:
    """A run behind the terminal, and who waits for the model meanwhile."""
    with terminal.behind("prytany run examples/digest --budget tokens=40000,calls=30", KILL_AFTER_ANSWERS - 1):
        for command in ("models queue", "why 7", "schedule 7 --qos interactive", "sched", "budget 1"):
            terminal.type(f"prytany {command}")
            terminal.show("")


def main() -> None:
    """Play the sessions and write the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for play in (digest, live, queue):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("output"))
            (folder / ".prytany").mkdir(mode=0o700)
            terminal = Terminal(folder)
            play(terminal)
        picture = terminal.console.export_svg(title="prytany")
        # No font from elsewhere, nor a comment on where one comes from: a picture sends nobody anywhere.
        picture = re.sub(r"@font-face\s*{[^}]*}|<!--.*?-->", "", picture, flags=re.S)
        (PICTURES / f"{play.__name__}.svg").write_text(picture)


if __name__ == "__main__":
    main()
