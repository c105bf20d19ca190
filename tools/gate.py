"""The gate: everything that has to hold before a change goes in, in order, stopping at the first that fails.

People, hooks and CI run this one script, so that what passes on one machine passes on the next.

    python -m tools.gate             all checks, fast tests
    python -m tools.gate --full      all checks, all tests, with coverage by branch
    python -m tools.gate mypy pytest only these, in the gate's order
    python -m tools.gate --list      what there is
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Check(NamedTuple):
    """One check; `commands` run in order and all have to end with 0."""

    name: str
    what: str
    commands: list[list[str]]


def tool(name: str) -> str:
    """The command `name` of the environment that runs this script, whether or not it is on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or name


def checks(*, full: bool) -> list[Check]:
    """The whole gate, cheapest first."""
    python = [sys.executable]
    pytest = [*python, "-m", "tools.halves"]
    covered = [[*python, "-m", "coverage", "erase"], [*pytest, "--coverage"], [*python, "-m", "coverage", "report"]]
    generate = [[*python, "-m", "tools.generate", "--check"]] if importlib.util.find_spec("tools.generate") else []
    return [
        Check("format", "ruff format", [[tool("ruff"), "format", "--check", "."]]),
        Check("lint", "ruff check", [[tool("ruff"), "check", "."]]),
        Check("mypy", "types, strictly", [[*python, "-m", "mypy"]]),
        Check("pyright", "types of the product, by a second reader", [[tool("pyright"), "--warnings"]]),
        Check("imports", "who may import whom", [[tool("lint-imports"), "--no-cache", "--no-logo"]]),
        Check("generated", "generated files are up to date", generate),
        Check("pytest", "fast tests, with branch coverage" if full else "fast tests", covered if full else [pytest]),
        *([Check("slow", "the slow sweeps", [[*pytest, "-m", "slow"]])] if full else []),
    ]


def run(check: Check, environment: dict[str, str]) -> int:
    """Run one check under its heading; the exit status of what failed, or 0."""
    print(f"\n── {check.name}: {check.what} {'─' * max(0, 96 - len(check.name) - len(check.what))}", flush=True)
    if not check.commands:
        print("nothing to check yet")
        return 0
    begun = perf_counter()
    for command in check.commands:
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        if status:
            print(f"\ngate: {check.name} failed (exit {status}): {' '.join(command)}", file=sys.stderr)
            return status
    print(f"ok, {perf_counter() - begun:.1f} s")
    return 0


def main() -> int:
    """Run the checks that were asked for; 0 when all hold."""
    parser = argparse.ArgumentParser(description="Run the gate.")
    parser.add_argument("names", nargs="*", help="only these checks")
    parser.add_argument("--full", action="store_true", help="run the slow tests as well")
    parser.add_argument("--list", action="store_true", help="list the checks and stop")
    options = parser.parse_args()
    gate = checks(full=options.full)
    if options.list:
        for check in gate:
            print(f"{check.name:10} {check.what}")
        return 0
    if unknown := set(options.names) - {check.name for check in gate}:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles everything anew
    begun = perf_counter()
    for check in gate:
        if options.names and check.name not in options.names:
            continue
        if run(check, environment):
            return 1
    print(f"\ngate: all checks hold, {perf_counter() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
