"""A command starts with what it needs: the bare one with nothing of the kernel, a look without what only a run needs.

Modules are counted, not time: of a fresh interpreter, so that nothing of the tests' is among them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.surfaces.homes import make_home

SHOWN = "import sys; from prytany.cli.main import perform; perform(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
HEAVY = {"pydantic", "rich", "typer", "pyreqwest", "xllamacpp", "pyseccomp", "multiprocessing", "genai_prices"}
"""What no look at a home imports, nor help."""
KERNEL = {"apsw", "msgspec", "asyncio", "uvloop", "ssl", "logging"}
"""What help does without as well."""


def imported(*arguments: str) -> set[str]:
    """The modules that there are after a command."""
    command = [sys.executable, "-X", "frozen_modules=on", "-c", SHOWN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout
    return set(done.stderr.split())


def of_ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith("prytany.")}


@pytest.mark.parametrize("arguments", [(), ("run", "--help"), ("journal",), ("completion", "bash")], ids=" ".join)
def test_help_imports_no_more_than_the_command_line_itself(arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    if arguments != ("completion", "bash"):
        assert of_ours(modules) <= {
            "prytany.cli", "prytany.cli.main", "prytany.cli.options", "prytany.cli.running", "prytany.cli.numbers",
            "prytany.cli.steering", "prytany.cli.keeping", "prytany.cli.models", "prytany.cli.fleets",
            "prytany.cli.holding", "prytany.cli.scheduling", "prytany.cli.viewing", "prytany.cli.notifying",
            "prytany.cli.conversing", "prytany.cli.sharing", "prytany.cli.eventing", "prytany.cli.mailing",
        }  # fmt: skip
        assert modules & KERNEL == set()
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert len(modules) < 250


def test_a_look_at_a_home_imports_no_kernel_and_nothing_that_only_a_run_needs(tmp_path: Path) -> None:
    make_home(tmp_path / "home", count=1)
    modules = imported("ps", "--home", str(tmp_path / "home"))
    assert {name.partition(".")[0] for name in modules} & (HEAVY | {"uvloop"}) == set()
    assert of_ours(modules) & {"prytany.kernel.kernel", "prytany.runtime.confined", "prytany.system.shard"} == set()
    assert len(modules) < 450
