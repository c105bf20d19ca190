"""The version of the fold: a digest of the text of everything that folds.

Nobody has to remember to raise a number when a fold changes. A change that does not matter costs one fold from the
first entry; a change that matters can never believe a state that the old code made.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import get_type_hints

VERSION_BYTES = 16


def fold_version(state: type, *more: str) -> str:
    """Of the module of `state`, of `more`, and of the packages in which the classes of its fields lie.

    So a room is in the version from the moment that it is in the state.

    Args:
        state: a class whose annotated fields are rooms.
        more: other modules, or packages with everything below them.
    """
    rooms = {hint.__module__.rpartition(".")[0] for hint in get_type_hints(state).values()}
    digest = blake2b(digest_size=VERSION_BYTES)
    for name in sorted({state.__module__, *rooms, *more}):
        for module, text in _texts(name):
            for part in (module.encode(), text):
                digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _texts(name: str) -> Iterator[tuple[str, bytes]]:
    """The modules of that name and below it, each with its file as it lies there, source or compiled."""
    spec = find_spec(name)
    if spec is None:
        raise ImportError(f"no module {name}")
    yield name, _file(spec)
    if spec.submodule_search_locations is not None:
        package = importlib.import_module(name)
        for found in sorted(pkgutil.iter_modules(package.__path__)):
            yield from _texts(f"{name}.{found.name}")


def _file(spec: ModuleSpec) -> bytes:
    get_data = getattr(spec.loader, "get_data", None)
    if get_data is None or spec.origin is None:
        raise ImportError(f"the text of {spec.name} cannot be read")
    text: bytes = get_data(spec.origin)
    return text
