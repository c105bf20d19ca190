"""What lies behind a fleet's file, and can change without it: secrets, and texts that agents and tools are made of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from prytany.abi.errors import Einval, KernelError
from prytany.drivers.tools.python.tools import PythonTools
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.secrets import read_secret
from prytany.system.looks import read_text
from prytany.system.tools import digest_beside

SKILLS_MAX = 1_000
"""Folders of skills that are looked at, of one agent's folder."""
DIGEST_BYTES = 32


class Environment(Mapping[str, str]):
    """Where the tools of a fleet have their secrets from: what its file says of a secret of that name, else a variable
    of the operator's environment."""

    def __init__(self, fleet: ResolvedFleet, variables: Mapping[str, str]) -> None:
        self._fleet = fleet
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        """Raises KeyError where there is none, and as `read_secret` where the file's cannot be had."""
        secret = self._fleet.secrets.get(name)
        return (
            self._variables[name] if secret is None else read_secret(name, secret, self._fleet.folder, self._variables)
        )

    def __iter__(self) -> Iterator[str]:
        return iter({**self._variables, **self._fleet.secrets})

    def __len__(self) -> int:
        return len({**self._variables, **self._fleet.secrets})


def tools_differ(tools: PythonTools, environment: Mapping[str, str], *, lenient: bool = False) -> list[str]:
    """In words, what is not as it was when this file of tools was loaded. Raises as `read_secret`, unless it is to go
    without what cannot be had."""
    found: list[str] = []
    try:
        text = read_text(tools.path)[0]
    except (OSError, Einval):  # loading it says why
        text = b""
    if text != tools.source:
        found.append("text")
    if digest_beside(tools.path, text) != tools.beside:
        found.append("what it imports")
    return found + [f"secret {name}" for name in changed_secrets(tools, environment, lenient=lenient)]


def changed_secrets(tools: PythonTools, environment: Mapping[str, str], *, lenient: bool = False) -> list[str]:
    """The names of those that have another value than this file of tools was given; one that it lacks is among them
    where that is not to be so any more. Raises as `read_secret`, unless it is to go without what cannot be had."""
    found: list[str] = []
    for name in (*tools.secrets, *tools.lacking):
        try:
            value = environment.get(name) or None
        except KernelError:
            if not lenient:
                raise
            value = None
        if value != tools.secrets.get(name) or (name in tools.lacking and not lenient):
            found.append(name)
    return found


def skills_digest(folders: list[str]) -> bytes:
    """Of the SKILL.md files in these folders, as they are now."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in islice(names, SKILLS_MAX):
            try:
                text = read_text(str(Path(folder) / name / "SKILL.md"))[0]
            except (OSError, Einval):
                continue
            digest.update(f"{folder}\0{name}\0{len(text)}\0".encode("utf-8", "surrogateescape") + text)
    return digest.digest()
