"""`models remove`: a model file that is not needed any more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from prytany.abi.errors import Eacces, Ecanceled, Einval, Enoent, KernelError
from prytany.cli.failure import advised
from prytany.cli.text import json_line, safe
from prytany.drivers.models.weights import FILE_BYTES, PACKAGE, cache_path, find_weights
from prytany.system.model_files import SUFFIX, find_own, find_removable, own_folder, remove

MEGABYTE = 1_000_000


def remove_model(name: str, yes: bool, as_json: bool) -> None:
    """Remove the fetched weights, or a file of one's own, once the operator agrees.

    Raises:
        Enoent: there is none.
        Eacces: it is elsewhere, a link, no file, or cannot be removed.
        Ecanceled: the operator does not agree.
        Einval: it is no model that has a file.
    """
    try:
        file = find_removable(_path_of(name), [cache_path().parent, own_folder()])
    except KernelError as error:
        raise advised(error, "prytany models list shows which there are, and where") from None
    if not yes:
        asking = sys.stdin is not None and sys.stdin.isatty() and not as_json
        said = safe(f"Remove {file.path}? Runs that asked it cannot be resumed without it.")
        if not (asking and click.confirm(said, err=True)):
            raise advised(Ecanceled(f"{str(file.path)!r} is kept"), "give --yes to remove it without being asked")
    free = remove(file)
    if as_json:
        print(json_line({"name": name, "path": str(file.path), "freed_bytes": file.file_bytes, "free_bytes": free}))
        return
    freed = f"{file.file_bytes / MEGABYTE:.0f} MB" if file.file_bytes else "nothing, as the file has other names,"
    print(safe(f"removed {file.path}: {freed} freed, {free / MEGABYTE:,.0f} MB are free there now"))


def _path_of(name: str) -> Path:
    """Where the file of a model would be."""
    if name in ("scripted", "remote"):
        raise Einval(f"the model {name!r} has no file")
    if name == "local":
        found = find_weights()
        if found is not None and found != cache_path() and not os.path.lexists(cache_path()):
            raise advised(
                Eacces(f"the local model's weights came with a package, in {found}"),
                f"pip uninstall {PACKAGE.replace('_', '-')}, if {FILE_BYTES // MEGABYTE} MB are worth it",
            )
        return cache_path()
    if name.endswith(SUFFIX) or "/" in name:
        return Path(os.path.expanduser(name))
    found = find_own(name)
    if found is None:
        raise Enoent(f"there is no model file {name[:60]!r} in {own_folder()}")
    return found
