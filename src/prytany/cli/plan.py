"""What bringing a fleet changes, as `up` prints it: a line a change, as a diff has them."""

from __future__ import annotations

import sys

import click

from prytany.abi.control import Plan
from prytany.cli.table import in_colour
from prytany.cli.text import json_line, safe

COLOURS = {"+": "green", "~": "yellow", "-": "red"}


def show_plan(plan: Plan, as_json: bool, *, was_down: bool = False) -> None:
    """Print it on standard output; it `was_down` where nothing ran until now."""
    if as_json:
        print(json_line(plan), flush=True)
        return
    colour = in_colour(sys.stdout)
    for change in plan.changes:
        what = f": {', '.join(change.what)}" if change.what else ""
        line = safe(f"{change.sign} {change.kind} {change.name}{what}")
        print(click.style(line, fg=COLOURS[change.sign]) if colour else line)
    print(safe(_end(plan, was_down)), flush=True)


def _end(plan: Plan, was_down: bool) -> str:
    if plan.dry_run:
        return "nothing was changed (--dry-run)" if plan.changes else "nothing would change"
    if plan.empty and not plan.started:
        return f"the fleet {plan.fleet} is up {'now, as it was before' if was_down else 'as it is; nothing changed'}"
    return f"the fleet {plan.fleet} is up" + (f"; started: {', '.join(map(str, plan.started))}" if plan.started else "")
