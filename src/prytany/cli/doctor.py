"""`doctor`: what this machine can confine, and what is missing."""

from __future__ import annotations

from prytany.cli.text import json_line, safe
from prytany.runtime.checks import check_machine


def examine(as_json: bool) -> int:
    """A line a check; 1 when something is missing, else 0."""
    missing = 0
    for check in check_machine():
        missing += not check.ok
        if as_json:
            print(json_line(check))
        elif check.ok:
            print(f"ok      {check.name}")
        else:
            print(safe(f"MISSING {check.name}: {check.missing}. {check.mend}"))
    return 1 if missing else 0
