"""What a run may see of the operator's files, and what may never be written by an agent.

Whoever could write its own program, a tool, an environment from which one of them or the kernel runs, or what git runs
by itself, would be confined by nothing. So none of these can be unveiled for writing, nor a folder that holds one of
them or lies in one, under whatever name or link. Below what is unveiled, `drivers.files.beneath` looks again at each
write.
"""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enoent

NAMES = frozenset({".git", ".prytany", ".venv"})
MARKER = "pyvenv.cfg"
"""What a virtual environment has in its folder, whatever that is called."""


def unveil_for_run(
    input: Path | None, output: Path | None, target: str, home: Path, tools: Sequence[Path] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """The program's keyword arguments and the unveiled folders of `prytany run`.

    Raises:
        Enoent: the input is not there.
        Eacces: the output holds, or lies in, what must never be written.
        Einval: there is an output and no input.
    """
    if input is None:
        if output is not None:
            raise Einval("--output goes with --input: a program is given both, or neither")
        return {}, {}
    source = input.absolute()
    if not source.is_dir():
        raise Enoent(f"there is no folder {input}")
    place = (output or Path("output")).absolute()
    check_writable(place, target, home, tools)
    place.mkdir(parents=True, exist_ok=True)
    check_writable(place, target, home, tools)  # what was made is looked at, not what it was going to be
    return {"input": str(source), "output": str(place)}, {str(source): "r", str(place): "rw"}


def check_writable(place: Path, target: str, home: Path, tools: Sequence[Path] = ()) -> None:
    """Raise Eacces when agents must not write to `place`.

    Args:
        place: what would be unveiled for writing; it need not be there yet.
        target: of the program, `file.py:function`.
        home: the kernel's.
        tools: the files of its tools.
    """
    real = place.resolve()
    for part in (place, real):
        if named := NAMES.intersection(part.parts):
            raise Eacces(f"{place} cannot be written to by agents: it lies in {min(named)}")
    for folder in (real, *real.parents):
        if (folder / MARKER).exists():
            raise Eacces(f"{place} cannot be written to by agents: it lies in the environment {folder}")
    for kept, what in _kept(target, home, tools):
        held = kept.resolve()
        if real == held or held in real.parents or real in held.parents:
            raise Eacces(
                f"{place} cannot be written to by agents: it holds or lies in {what} ({held}); choose another --output"
            )


def _kept(target: str, home: Path, tools: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    yield home, "the home"
    yield Path(target.rpartition(":")[0]).absolute().parent, "the program's folder"
    for path in tools:
        yield path.absolute().parent, "the folder of a tool"
        yield path.resolve().parent, "the folder of a tool"
    for folder in environment_folders():
        yield folder, "the environment that the kernel runs from"


def environment_folders() -> list[Path]:
    """Where the code comes from that the kernel, its workers and its tools run."""
    own = Path(__file__).parents[1]
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    found = [sysconfig.get_path(name) for name in names] + [*site.getsitepackages(), site.getusersitepackages()]
    return list(dict.fromkeys([own, Path(sys.prefix), Path(sys.executable).parent, *map(Path, found)]))
