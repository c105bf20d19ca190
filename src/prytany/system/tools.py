"""The tools of a kernel: those that its new run names, and those of the runs that go on in its home.

A run keeps the tools that it was granted. A file that was changed since is used when it says the same of its tools as
it did then, and that it was changed is said; where it says something else, the home is not opened: what was in flight
would go on with other tools than the operator granted, or be answered that there are none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prytany.abi.errors import Epolicy, KernelError
from prytany.abi.names import check_name
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.state import ShardState
from prytany.kernel.toolbox import packed_manifests
from prytany.ports.tool import Tools
from prytany.security.grants import Grant
from prytany.system.logs import Logs


def tool_path(path: Path) -> str:
    """How a file of tools is named in grants: the real place, so that one file has one name. Raises Einval."""
    return check_name(os.path.realpath(path))


async def open_tools(
    paths: Iterable[Path],
    state: ShardState,
    digest: Callable[[bytes], bytes],
    logs: Logs,
    say: Callable[[str], None],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Tools]:
    """Load what `paths` name and what the runs in `state` that go on were granted; by file.

    Args:
        paths: of a new run.
        state: the fold of the home's journal.
        digest: the keyed digest that grants are recorded by.
        logs: where what they print goes.
        say: told what the operator ought to know.
        environment: where secrets are taken from.

    Raises:
        Enoent: a file, or a secret that one of its tools names, is not there.
        Einval: a file cannot be used.
        Epolicy: a file says something else of its tools than when they were granted to a run that goes on.
    """
    granted = _in_flight(state)
    loaded: dict[str, Tools] = {}
    try:
        for path in dict.fromkeys([*map(tool_path, paths), *granted]):
            tools = loaded[path] = await _load(path, sorted(granted.get(path, {})), logs, environment)
            for run, grant in granted.get(path, {}).items():
                if digest(packed_manifests(tools)) != grant.manifest:
                    raise Epolicy(
                        f"{path} says something else of its tools than when they were granted to run {run}, which goes "
                        "on; put back what it was"
                    )
                if digest(tools.source) != grant.source:
                    say(
                        f"{path} was changed since run {run} began; it says the same of its tools, and is used as it is"
                    )
    except BaseException:
        for opened in loaded.values():
            await opened.close()
        raise
    return loaded


async def load_tools(path: str, logs: Logs, environment: Mapping[str, str] = os.environ) -> Tools:
    """Load one file of tools for a fleet; raises as `open_tools` does."""
    return await _load(path, [], logs, environment)


async def _load(path: str, runs: list[int], logs: Logs, environment: Mapping[str, str]) -> PythonTools:
    name = f"tools.{Path(path).stem}"
    try:
        return await PythonTools.load(Path(path), environment, lambda data: logs.append(name, data))
    except KernelError as error:
        if runs:
            error.message += f" (they were granted to run {runs[0]}, which goes on)"
            error.args = (error.message,)
        raise


def _in_flight(state: ShardState) -> dict[str, dict[int, Grant]]:
    """What was granted to the runs that have a living process: by file, then by run."""
    runs = {p.run for p in state.table.processes.values() if p.alive}
    found: dict[str, dict[int, Grant]] = {}
    for run in sorted(runs):
        for grant in state.grants.of(run).values():
            found.setdefault(grant.path, {})[run] = grant
    return found
