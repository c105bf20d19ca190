"""`completion`: what makes a shell complete commands and options."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from prytany.abi.errors import Einval
from prytany.cli.failure import advised
from prytany.cli.options import COMPLETE
from prytany.cli.text import json_line

SHELLS = ("bash", "zsh", "fish")


def show_completion(app: click.Command, shell: str | None, as_json: bool) -> None:
    """Print the script for `shell`, or for the one that $SHELL names; raises Einval."""
    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name) if name in SHELLS else None
    if found is None:
        raise advised(Einval(f"there is nothing for the shell {name!r}"), f"name one of {', '.join(SHELLS)}")
    script = found(app, {}, "prytany", COMPLETE).source()
    print(json_line({"shell": name, "script": script}) if as_json else script)
