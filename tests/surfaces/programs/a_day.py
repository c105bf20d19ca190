"""A day's work with Prytany, as somebody types it, in the folder it is started in: `python a_day.py EXAMPLES`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prytany.cli.main import perform

EXAMPLES = Path(sys.argv[1])
PRYTANY = [sys.executable, "-m", "prytany.cli"]
LOOKS = """
--version
--help
doctor
models list
models check
models try scripted
fleet check
fleet show --resolved
fleet schema
tools --tools {examples}/orders/tools/shop.py
ps --json
tree
inspect 1
trace 1
logs 1
cost
incidents
journal head
journal verify
backup home.backup
completion bash
"""


def typed(*words: str, said: str = "") -> None:
    """What starts workers, in a process of its own, which has to do well."""
    done = subprocess.run([*PRYTANY, *words], input=said, text=True, timeout=400, check=False)
    assert done.returncode == 0, words


def here(line: str, code: int = 0) -> None:
    """What does not, in this one."""
    assert perform(line.format(examples=EXAMPLES).split()) == code, line


def main() -> None:
    """Everything that is no question to a model somewhere else."""
    here("init")
    typed("run", str(EXAMPLES / "digest"), "--input", str(EXAMPLES / "digest" / "documents"), "--output", "out")
    typed("run", f"{EXAMPLES}/orders/main.py:clerk", "--tools", f"{EXAMPLES}/orders/tools/shop.py")
    here("resume")
    typed("chat", said="Good day.\nAnd now?\n")
    with subprocess.Popen([*PRYTANY, "up"], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        for line in up.stdout:
            if "is up" in line:
                break
        typed("chat", "desk", said="Good day.\n")
        for line in ("status", "up --dry-run", "down"):
            here(line)
        up.terminate()
        up.stdout.read()
    here("status", 3)
    for line in LOOKS.strip().splitlines():
        here(line)
    if "--local" in sys.argv:
        typed("models", "try", "local", "Good day.")
    if "--digest" in sys.argv:
        typed("run", str(EXAMPLES / "digest"), "--output", "out", "--model", "local", "--home", "home")


if __name__ == "__main__":
    os.environ["SHOP_KEY"] = "a key"
    os.environ["PRYTANY_MODEL"] = "scripted"
    main()
