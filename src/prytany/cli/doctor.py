"""`doctor`: what this machine can confine, and what is missing; by really trying it, here or as a container would."""

from __future__ import annotations

import os

from prytany.cli.text import json_line, note, safe
from prytany.runtime.checks import Check, check_machine
from prytany.runtime.trying import modes, try_out

ROOT = (
    "this is root, and so would be a kernel that it starts, and its tools; an ordinary user is enough, as in the unit"
    " of `prytany service unit`, and in Prytany's image"
)


def examine(docker: bool, as_json: bool) -> int:
    """A line a check; 1 when something is missing that workers need, else 0."""
    missing = 0
    for check in (*(() if docker else check_machine()), *(c for mode in modes(docker) for c in try_out(mode))):
        missing += not check.ok and check.required
        _tell(check, as_json)
    if os.geteuid() == 0:
        note(ROOT, as_json)
    return 1 if missing else 0


def _tell(check: Check, as_json: bool) -> None:
    if as_json:
        print(json_line(check))
    elif check.ok:
        print(f"ok      {check.name}")
    else:
        print(safe(f"{'MISSING' if check.required else 'without'} {check.name}: {check.missing}. {check.mend}"))
