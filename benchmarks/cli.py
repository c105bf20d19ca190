"""What it costs to look: `python -m benchmarks.cli --json`.

`bare_s` and `ps_s`: from the start of a bare `prytany`, and of `prytany ps --json` on a home with that many processes,
to their ends; medians of interpreters of their own, which find everything compiled, as an installed package is: the
machine's word that nothing is to be compiled for good is not heeded. `baseline_s` is that of Python alone in the same
run, which is in both; `bare_cpu_s` and `ps_cpu_s` are the processor's time alone, which others on the machine lengthen
less.
`install_mb`: the files of the package with what it depends on, without extras, installed from the lock into a scratch
environment by uv; 10**6 bytes, without what compiling adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prytany.runtime.inline import InlineRunner
from prytany.system.shard import Shard

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"bare_s": 0.25, "ps_s": 0.5, "install_mb": 60.0}


async def _waits(proc: object) -> None:
    await asyncio.get_running_loop().create_future()


def make_home(home: Path, count: int) -> None:
    """A home in which that many processes run."""

    async def make() -> None:
        program = home.parent / "program.py"
        program.write_text("async def main(proc):\n    pass\n")
        target = f"{program}:main"
        shard = await Shard.open(home, {}, runners=lambda logs: {"inline": InlineRunner({target: _waits})})
        try:
            for _ in range(count):
                shard.kernel.operator.spawn(target, [], {}, uid=0, kind="inline", pledge=["proc"])
            journal = shard.kernel.ledger.journal
            await journal.wait_durable(journal.head.seq)
        finally:
            await shard.close()

    asyncio.run(make())


def medians(name: str, command: Sequence[str], rounds: int, compiled: Path) -> dict[str, float]:
    """How long it takes, and how long the processor, after one that is not counted and fills the folder `compiled`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    took: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        began, used = time.perf_counter(), _children_s()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
        took.append((time.perf_counter() - began, _children_s() - used))
    wall, processor = (statistics.median(column) for column in zip(*took[1:], strict=True))
    return {f"{name}_s": round(wall, 3), f"{name}_cpu_s": round(processor, 3)}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def install_mb(folder: Path) -> float:
    """The size of what `pip install prytany` brings, at the locked versions."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env["UV_PROJECT_ENVIRONMENT"] = str(folder / "environment")
    subprocess.run(
        [uv, "sync", "--locked", "--quiet", "--no-dev", "--no-editable", "--python", sys.executable],
        cwd=ROOT, env=env, check=True,
    )  # fmt: skip
    (packages,) = (folder / "environment" / "lib").glob("python3*/site-packages")
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc") / 1e6


def main() -> int:
    """Print the figures; the exit status says whether the targets were reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--processes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    prytany = str(Path(sys.executable).with_name("prytany"))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        make_home(home, arguments.processes)
        compiled = Path(name) / "compiled"
        figures = {
            **medians("bare", [prytany], arguments.rounds, compiled),
            **medians("ps", [prytany, "ps", "--json", "--home", str(home)], arguments.rounds, compiled),
            **medians("baseline", [sys.executable, "-c", "pass"], arguments.rounds, compiled),
            "processes": arguments.processes,
            "install_mb": round(install_mb(Path(name)), 1),
        }
    if arguments.json:
        print(json.dumps(figures))
    else:
        for metric, figure in figures.items():
            print(f"{metric:12} {figure}")
    return int(any(figures[metric] > most for metric, most in TARGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
