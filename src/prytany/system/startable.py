"""What keeps a service from starting that starts by hand: files that its user cannot reach, and a model it has not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

PRIVATE_TMP = ("/tmp", "/var/tmp")
OTHERS = "others than root have to, as below /opt or /srv"


def in_the_way(files: Iterable[str], runs: Iterable[str], libraries: Iterable[str] = ()) -> list[str]:
    """What a service of the system, with a user and a /tmp of its own, cannot start with, a line each.

    Args:
        files: what it reads; what is not there is passed over.
        runs: programs that it runs.
        libraries: folders that these load from; they are named where something else is in the way than of the programs.
    """
    told: dict[str, str] = {}
    for paths, does, bit in ((runs, "run", stat.S_IXOTH), (libraries, "read", stat.S_IROTH)):
        for stands, said in _each(paths, does, bit):
            told.setdefault(stands, said)
    lines = [*told.values(), *(said for _, said in _each(files, "read", stat.S_IROTH))]
    return list(dict.fromkeys(lines))


def without_model(agents: Iterable[str], weights: str) -> str:
    """What to say of agents that name no model; "" where there are none.

    Args:
        agents: their names.
        weights: the file of the local model where whoever asks has it, else "".
    """
    names = ", ".join(agents)
    if not names:
        return ""
    where = f", and the local one is in {weights}, which is not the service's" if weights else ""
    return f"no model is named for {names}{where}: name one in the fleet file, with `models`, or it does not start"


def _each(paths: Iterable[str], does: str, bit: int) -> Iterator[tuple[str, str]]:
    """What is in the way, and what is to be said of it."""
    for path in dict.fromkeys(paths):
        if not os.path.isabs(path) or not os.path.exists(path):
            continue
        if private := next((place for place in (path, os.path.realpath(path)) if _is_private(place)), ""):
            leads = f", to which {path} leads" if private != path else ""
            said = f"the service has a /tmp of its own, without {private}{leads}: move it, as below /opt or /srv"
            yield private, said
        elif stands := _unreachable(path, bit):
            at = f": {stands} is in the way" if stands != path else ""
            yield stands, f"the service's user cannot {does} {path}{at}; {OTHERS}"


def _is_private(path: str) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in PRIVATE_TMP)


def _unreachable(path: str, bit: int) -> str:
    """The folder, or the file itself, that others than its owner and group are kept out of; "" for none."""
    real = os.path.realpath(path)
    for place in dict.fromkeys((path, real)):
        folder = os.path.dirname(place)
        while folder != os.path.dirname(folder):
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return folder
            folder = os.path.dirname(folder)
    mode = os.stat(real).st_mode
    return "" if mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else bit) else real
