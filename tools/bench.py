"""Run every benchmark and print one table.

A benchmark is a module of `benchmarks/`; `benchmarks/__init__.py` says what it has to print. One that fails is named,
the others still run, and the exit status is 1.

    python -m tools.bench            all of them
    python -m tools.bench journal    only this one
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
MEASURED_AGAINST = {"provider"}
"""Modules of `benchmarks/` that are none, but what some of them measure against."""


def names() -> list[str]:
    """All benchmarks, by name."""
    return sorted(
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if path.stem[0] != "_" and path.stem not in MEASURED_AGAINST
    )


def figures(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """What a benchmark printed, flattened to `a.b.c` and a figure."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from figures(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from figures(inner, f"{path}[{number}]")
    elif isinstance(value, float):
        yield path, f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, f"{value:,}"
    else:
        yield path, str(value)


def measure(name: str) -> list[tuple[str, str]] | None:
    """The figures of one benchmark, or None when it failed."""
    print(f"{name} …", end=" ", file=sys.stderr, flush=True)
    begun = perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    try:
        if done.returncode:
            raise ValueError(f"exit {done.returncode}")
        rows = list(figures(json.loads(done.stdout.rstrip().rpartition("\n")[2])))
    except ValueError as error:
        print(f"failed: {error}", file=sys.stderr)
        return None
    print(f"{perf_counter() - begun:.1f} s", file=sys.stderr)
    return rows


def main() -> int:
    """Run, then print the table; 0 when every benchmark ran."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", help="only these")
    asked = parser.parse_args().names or names()
    if not asked:
        print("there are no benchmarks yet")
        return 0
    results = {name: measure(name) for name in asked}
    rows = [(name, metric, figure) for name, found in results.items() for metric, figure in found or []]
    rows += [(name, "failed", "") for name, found in results.items() if found is None]
    first, second, third = (max(len(row[column]) for row in rows) if rows else 0 for column in range(3))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    print(f"\nPython {platform.python_version()}, {machine}\n")
    for name, metric, figure in rows:
        print(f"{name:{first}}  {metric:{second}}  {figure:>{third}}")
    return 1 if None in results.values() else 0


if __name__ == "__main__":
    sys.exit(main())
