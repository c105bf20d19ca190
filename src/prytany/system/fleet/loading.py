"""From a place on disk to a checked fleet."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prytany.abi.errors import Enoent
from prytany.system.fleet.document import TEXT_BYTES_MAX, parse_document
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.form import Fleet
from prytany.system.fleet.meaning import FindProgram, find_faults
from prytany.system.fleet.reading import Reader, as_form
from prytany.system.programs import find_program


class Loaded(NamedTuple):
    """A fleet file, read and checked."""

    fleet: Fleet
    path: Path
    text: bytes


def load_fleet(
    path: Path, variables: Mapping[str, str] = os.environ, find: FindProgram = lambda target: find_program(target, "")
) -> Loaded:
    """Read and check a fleet file; nothing that it names is run.

    Raises:
        Enoent: it cannot be read.
        FleetError: something is wrong with it; all of that is said.
    """
    try:
        # Without waiting: a pipe has nobody at its other end, perhaps for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Enoent(f"the fleet file {path} is no file")
            text = file.read(TEXT_BYTES_MAX + 1)
    except OSError as error:
        raise Enoent(f"the fleet file {path} cannot be read: {error.strerror}") from None
    name = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
    reader = Reader(variables)
    value = reader.read(parse_document(text, name), Fleet)
    if reader.faults:
        raise FleetError(name, reader.faults)
    fleet: Fleet = as_form(value, Fleet)
    if faults := find_faults(fleet, path.absolute().parent, reader.places, find):
        raise FleetError(name, faults)
    return Loaded(fleet, path.absolute(), text)
