"""A recorded program in a worker: its modules are imported from the record, never from the disk.

So a file beside a program that changes, or goes, changes nothing for a process that began with it. The finder stands
right before the one that searches folders: what is built in stays what it is, and a module beside the program hides an
installed one, as it does for a script.

Must not look at the program's folder: a worker is not granted it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import types
from collections.abc import Sequence
from typing import Any

from prytany.abi.program import NAMESPACE, PACKAGE, Module, Recorded

WHY = (
    "it was not recorded with the program: of the modules beside it, those are that an import statement names, "
    "in it or in one of them"
)


class RecordedModules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the recorded modules of one program."""

    def __init__(self, folder: str, modules: Sequence[Module]) -> None:
        self._folder = folder
        self._modules = {module.name: module for module in modules}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a recorded module.

        Raises:
            ModuleNotFoundError: a part of a recorded package that was not recorded; no other finder can have it.
        """
        module = self._modules.get(fullname)
        if module is None:
            if fullname.rpartition(".")[0] in self._modules:
                raise ModuleNotFoundError(f"No module named {fullname!r}; {WHY}", name=fullname)
            return None
        is_package = module.kind in (PACKAGE, NAMESPACE)
        origin = os.path.join(self._folder, module.path) if module.path else None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=origin, is_package=is_package)
        spec.has_location = origin is not None  # `__file__` is where it was recorded from
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether it can have modules below it."""
        return self._modules[fullname].kind in (PACKAGE, NAMESPACE)

    def get_source(self, fullname: str) -> str | None:
        """Its text; tracebacks show their lines from it."""
        module = self._modules.get(fullname)
        return None if module is None else _decode(module.text)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run it."""
        spec = module.__spec__
        assert spec is not None
        code = compile(self._modules[spec.name].text, spec.origin or f"<{spec.name}>", "exec", dont_inherit=True)
        exec(code, module.__dict__)


def _decode(source: bytes) -> str:
    """As `decode_source`, without its tokenizer where nothing has to be looked for."""
    plain = source.isascii() and b"coding" not in source and b"\r" not in source
    return source.decode() if plain else importlib.util.decode_source(source)


def load_recorded(place: str, recorded: Recorded) -> Any:
    """Run the main file of a program from its record, and let it import what was recorded with it.

    Args:
        place: where the file lay.
        recorded: its text and that of its modules.
    """
    name = os.path.basename(place).removesuffix(".py")
    module = types.ModuleType(name if name not in sys.modules else f"prytany_program_{name}")
    module.__file__ = place
    folder = os.path.dirname(place)
    if recorded.whole:
        folders = next(
            (at for at, finder in enumerate(sys.meta_path) if finder is importlib.machinery.PathFinder),
            len(sys.meta_path),
        )
        sys.meta_path.insert(folders, RecordedModules(folder, recorded.modules))
    else:
        sys.path.insert(0, folder)  # recorded before modules were: what lies beside it is read from disk
    sys.modules[module.__name__] = module
    text = _decode(recorded.main)
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    exec(compile(recorded.main, place, "exec", dont_inherit=True), module.__dict__)
    return module


def explain(error: BaseException) -> None:
    """Say in the notes of a failed import why a module that lies beside the program may not be there."""
    recorded = any(isinstance(finder, RecordedModules) for finder in sys.meta_path)
    if recorded and isinstance(error, ModuleNotFoundError) and WHY not in str(error):
        error.add_note(f"it is not installed in the program's environment; if it lies beside the program, {WHY}")
