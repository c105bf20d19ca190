"""What a run may see of the operator's files, and what may never be written by an agent.

Whoever could write its own program, a tool, an environment from which one of them or the kernel runs, or what git runs
by itself, would be confined by nothing. So none of these can be unveiled for writing, nor a folder that holds one of
them or lies in one, under whatever name or link; but for a folder beside a program that holds no code. Below what is
unveiled, `drivers.files.beneath` looks again at each write.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.abi.names import check_name

NAMES = frozenset({".git", ".prytany", ".venv"})
MARKER = "pyvenv.cfg"
"""What a virtual environment has in its folder, whatever that is called."""

PROGRAM = "the program's folder"
CODE = (".py", ".pyc", ".so", ".pth")


def unveil_for_run(
    input: Path | None, output: Path | None, target: str, home: Path, tools: Sequence[Path] = (),
    folders: Sequence[str] = (),
) -> tuple[dict[str, str], dict[str, str]]:  # fmt: skip
    """The program's keyword arguments and the unveiled folders of `prytany run`.

    Args:
        input: a folder to be read; with it, the output is `output` here unless it is said.
        output: a folder to be written, which is made when it is not there.
        target: of the program, `file.py:function`.
        home: the kernel's.
        tools: the files of its tools.
        folders: others, as `DIR` or `DIR:rw`, which are no arguments of the program.

    Raises:
        Enoent: a folder that is to be read is not there.
        Eacces: what would be written holds, or lies in, what must never be; or the output cannot be made.
        Einval: the output is no folder; or a folder's name is no UTF-8, which no program could be given.
    """
    kwargs: dict[str, str] = {}
    unveil: dict[str, str] = {}
    for text in folders:
        name, rights = (text[:-3], "rw") if text.endswith(":rw") else (text.removesuffix(":r"), "r")
        folder = _there(Path(name))
        if rights == "rw":
            check_writable(folder, target, home, tools)
        unveil[str(folder)] = rights
    if input is not None:
        kwargs["input"] = str(_there(input))
        unveil.setdefault(kwargs["input"], "r")
    if input is not None or output is not None:
        place = _named(output or Path("output"))
        check_writable(place, target, home, tools)
        make_folder(place)
        check_writable(place, target, home, tools)  # what was made is looked at, not what it was going to be
        kwargs["output"] = str(place)
        unveil[str(place)] = "rw"
    return kwargs, unveil


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise Enoent(f"there is no folder {folder}")
    return _named(folder)


def _named(folder: Path) -> Path:
    """Its whole path, which a program is told."""
    return Path(check_name(str(folder.absolute())))


def make_folder(place: Path) -> None:
    """Make a folder that agents may write to, unless it is there. Raises Eacces and Einval."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise Eacces(f"the output {place} cannot be made: {error.strerror}") from None
    except (FileExistsError, NotADirectoryError):
        raise Einval(f"the output {place} is a file, or lies below one, and has to be a folder") from None
    except OSError as error:
        raise Einval(f"the output {place} cannot be made: {error.strerror}") from None


def check_writable(place: Path, target: str, home: Path, tools: Sequence[Path] = ()) -> None:
    """Raise Eacces when agents must not write to `place`.

    Args:
        place: what would be unveiled for writing; it need not be there yet.
        target: of the program, `file.py:function`.
        home: the kernel's.
        tools: the files of its tools.
    """
    real = _real(place)
    for part in (place, real):
        if named := NAMES.intersection(part.parts):
            raise Eacces(f"{place} cannot be written to by agents: it lies in {min(named)}")
    for folder in (real, *real.parents):
        if (folder / MARKER).exists():
            raise Eacces(f"{place} cannot be written to by agents: it lies in the environment {folder}")
    own = _real(Path(target.rpartition(":")[0]).absolute().parent)
    beside = own in real.parents and not _holds_code(real)
    for kept, what in _kept(target, home, tools):
        held = _real(kept)
        if beside and held == own and what == PROGRAM:
            continue
        if real == held or held in real.parents or real in held.parents:
            raise Eacces(
                f"{place} cannot be written to by agents: it holds or lies in {what} ({held}); choose another folder"
            )


def _real(place: Path) -> Path:
    """Without links; Python's own `resolve` has no errno for links that lead to themselves."""
    return Path(os.path.realpath(place))


def _holds_code(folder: Path) -> bool:
    """Whether something below `folder` may be a part of a program: what holds none may be written beside one."""
    return any(name.endswith(CODE) for _, _, names in os.walk(folder) for name in names)


def _kept(target: str, home: Path, tools: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    yield home, "the home"
    yield Path(target.rpartition(":")[0]).absolute().parent, PROGRAM
    for path in tools:
        yield path.absolute().parent, "the folder of a tool"
        yield _real(path).parent, "the folder of a tool"
    for folder in environment_folders():
        yield folder, "the environment that the kernel runs from"


def environment_folders() -> list[Path]:
    """Where the code comes from that the kernel, its workers and its tools run."""
    own = Path(__file__).parents[1]
    names = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    found = [sysconfig.get_path(name) for name in names] + [*site.getsitepackages(), site.getusersitepackages()]
    return list(dict.fromkeys([own, Path(sys.prefix), Path(sys.executable).parent, *map(Path, found)]))
