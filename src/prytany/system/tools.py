"""The tools of a kernel: those that its new run names, and those of the runs that go on in its home.

A run keeps the tools that it was granted. A file that was changed since is used when it says the same of its tools as
it did then, and that it was changed is said; where it says something else, what was in flight goes on with the text
that it was granted, which is recorded. Where that is of no use any more, the home is not opened: what was in flight
would go on with other tools than the operator granted, or be answered that there are none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from prytany.abi.errors import Einval, Epolicy, KernelError
from prytany.abi.names import check_name
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.state import ShardState
from prytany.kernel.toolbox import older, packed_manifests
from prytany.ports.tool import Tools
from prytany.security.grants import Grant
from prytany.system.logs import Logs
from prytany.system.looks import read_text
from prytany.system.modules import modules_beside

DIGEST_BYTES = 32


def tool_path(path: Path) -> str:
    """How a file of tools is named in grants: the real place, so that one file has one name. Raises Einval."""
    return check_name(os.path.realpath(path))


async def open_tools(
    paths: Iterable[Path],
    state: ShardState,
    digest: Callable[[bytes], bytes],
    logs: Logs,
    content: Callable[[bytes], bytes],
    say: Callable[[str], None],
    environment: Callable[[str], Mapping[str, str]] = lambda path: os.environ,
    lenient: Callable[[str, Collection[int]], bool] = lambda path, runs: False,
) -> dict[str, Tools]:
    """Load what `paths` name and what the runs in `state` that go on were granted; by file, or as `older`.

    Args:
        paths: of a new run.
        state: the fold of the home's journal.
        digest: the keyed digest that grants are recorded by.
        logs: where what they print goes.
        content: reads what is recorded, by its digest.
        say: told what the operator ought to know.
        environment: where the secrets of a file are taken from.
        lenient: whether a file, granted to these runs, goes without those of them that cannot be had.

    Raises:
        Enoent: a file, or a secret that one of its tools names, is not there.
        Einval: a file cannot be used.
        Epolicy: a file says something else of its tools than when they were granted to a run that goes on, and so
            does its text of then.
    """
    granted = _in_flight(state)
    loaded: dict[str, Tools] = {}
    try:
        for path in dict.fromkeys([*map(tool_path, paths), *granted]):
            runs = sorted(granted.get(path, {}))
            less = lenient(path, runs)
            tools = loaded[path] = await _load(path, runs, logs, environment(path), less)
            for run, grant in granted.get(path, {}).items():
                if digest(packed_manifests(tools)) != grant.manifest:
                    if (key := older(path, grant.manifest)) not in loaded:
                        loaded[key] = await _as_granted(run, grant, digest, content, logs, environment(path), less)
                    say(
                        f"{path} says something else of its tools than when they were granted to run {run}, which goes"
                        " on with its text of then"
                    )
                elif digest(tools.source) != grant.source:
                    say(
                        f"{path} was changed since run {run} began; it says the same of its tools, and is used as it is"
                    )
    except BaseException:
        for opened in loaded.values():
            await opened.close()
        raise
    return loaded


async def _as_granted(
    run: int, grant: Grant, digest: Callable[[bytes], bytes], content: Callable[[bytes], bytes], logs: Logs,
    environment: Mapping[str, str], lenient: bool,
) -> PythonTools:  # fmt: skip
    """The tools of a file by the text that was recorded with the grant. Raises Epolicy."""
    try:
        tools = await load_tools(grant.path, logs, environment, content(grant.source), lenient=lenient)
        if digest(packed_manifests(tools)) == grant.manifest:
            return tools
        await tools.close()
        why = "its text of then says something else too, by what it imports"
    except KernelError as error:
        why = f"its text of then is of no use: {error.message}"
    raise Epolicy(
        f"{grant.path} says something else of its tools than when they were granted to run {run}, which goes on, and "
        f"{why}; put back what it was"
    )


async def load_tools(
    path: str, logs: Logs, environment: Mapping[str, str] = os.environ, source: bytes | None = None, *,
    lenient: bool = False,
) -> PythonTools:  # fmt: skip
    """Load one file of tools, or a text of it; `lenient` goes without secrets that cannot be had. Raises Enoent and
    Einval as `open_tools` does."""
    name = f"tools.{Path(path).stem}"
    beside = digest_beside(path, source)
    given = () if source is None else (source,)
    tools = await PythonTools.load(
        Path(path), environment, lambda data: logs.append(name, data), *given, lenient=lenient
    )
    tools.beside = beside
    return tools


def digest_beside(path: str, source: bytes | None = None) -> bytes:
    """Of the modules beside a file that it imports, as they are now; of what cannot be read there is nothing."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    try:
        text = read_text(path)[0] if source is None else source
        for module in modules_beside(Path(path), text, links=True):
            digest.update(f"{module.name}\0{len(module.text)}\0".encode() + module.text)
    except (OSError, Einval):  # it has no such file, or more beside it than is looked at
        pass
    return digest.digest()


async def _load(path: str, runs: list[int], logs: Logs, environment: Mapping[str, str], lenient: bool) -> PythonTools:
    try:
        return await load_tools(path, logs, environment, lenient=lenient)
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
