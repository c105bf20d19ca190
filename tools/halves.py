"""The tests in two processes at once, one for what starts processes and one for the rest.

Half of the time of the first is waiting for processes, so that two cores are kept busy. What the second says is shown
when the first has ended.

    python -m tools.halves [--coverage] [ARGUMENTS OF PYTEST]

With coverage by branch they take twice as long, on a Python whose coverage is told of every line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NONE_COLLECTED = 5
"""Pytest's exit status where nothing is to be done."""


WAITING = ("surfaces",)
"""What starts processes, below `tests`, and waits for them."""


def halves() -> tuple[list[str], list[str]]:
    """The folders and files of tests, without loss: what is added goes to the second by itself."""
    tests = ROOT / "tests"
    parts = [part for path in tests.iterdir() for part in (path.iterdir() if path.name == "unit" else [path])]
    names = sorted(
        str(part.relative_to(tests))
        for part in parts
        if part.name != "__pycache__" and (part.is_dir() or part.name.startswith("test_"))
    )
    return [f"tests/{name}" for name in WAITING], [f"tests/{name}" for name in names if name not in WAITING]


def main() -> int:
    """Run both; the exit status of the first that failed, else 0."""
    covered = "--coverage" in sys.argv
    under = ["-m", "coverage", "run", "--parallel-mode"] if covered else []
    pytest = [sys.executable, *under, "-m", "pytest", *(word for word in sys.argv[1:] if word != "--coverage")]
    first, second = halves()
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen([*pytest, *second], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            shown = subprocess.run([*pytest, *first], cwd=ROOT, check=False).returncode
            other = beside.wait()
        finally:
            beside.kill()
            beside.wait()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    failed = [status for status in (shown, other) if status not in (0, NONE_COLLECTED)]
    if failed:
        return failed[0]
    if not covered:
        return 0
    return subprocess.run([sys.executable, "-m", "coverage", "combine", "--quiet"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
