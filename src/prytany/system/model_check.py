"""Whether a model's file is what it should be: the embedded one by its digest, the others by their headers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.drivers.models.weights import COPY_BYTES, FILE_BYTES, FILE_SHA256, places
from prytany.system.gguf import Header, check_header, open_plain_file
from prytany.system.model_files import own_files
from prytany.system.models import REMOTE, name_model

Move = Callable[[int], None]
"""Told how many bytes were read."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one file."""

    name: str
    path: str
    ok: bool
    fault: str = ""
    digest: str = ""
    """The sha256, of the embedded model alone: of other files nobody knows what it should be."""
    version: int = 0
    """Of GGUF."""
    architecture: str = ""
    title: str = ""
    """What the file calls itself."""
    tensors: int = 0
    context: int = 0
    """Tokens that it was trained for; 0 where the file does not say."""
    bytes: int = 0


def check_models(name: str, move: Move = lambda done: None) -> Iterator[Checked]:
    """Check the file of a model, or with "" those of all that are here.

    Raises:
        Enoent: there is no such model, or it is not fetched.
        Einval: it has no file.
    """
    if not name:
        if embedded_place() is not None:
            yield _embedded(move)
        for own in own_files():
            yield _own(own.name, own.path, own.fault)
        return
    recorded = name_model(name)
    if recorded == "scripted" or recorded.startswith(REMOTE):
        raise Einval(f"the model {name!r} has no file to be checked; `prytany models try {name}` asks it")
    if recorded != "local" and not os.path.lexists(recorded):
        raise Enoent(f"there is no model file {recorded}")
    yield _embedded(move) if recorded == "local" else _own(name, Path(recorded), "")


def embedded_place() -> Path | None:
    """Where the embedded model's weights are, whole or not; None where they are not."""
    return next((place for place in places() if os.path.lexists(place)), None)


def _embedded(move: Move) -> Checked:
    path = embedded_place()
    if path is None:
        raise Enoent("the local model is not here; `prytany models fetch` gets it")
    digest, fault = hashlib.sha256(), ""
    done = 0
    try:
        with open_plain_file(path) as file:
            while done <= FILE_BYTES and (block := file.read(COPY_BYTES)):
                digest.update(block)
                done += len(block)
                move(done)
    except KernelError as error:
        fault = error.message
    found = digest.hexdigest()
    if not fault and found != FILE_SHA256:
        fault = f"its sha256 is {found}, not {FILE_SHA256}"
    if fault:
        return Checked(name="local", path=str(path), ok=False, fault=fault, digest=found, bytes=done)
    return _of_header("local", path, check_header(path), found)


def _own(name: str, path: Path, fault: str) -> Checked:
    try:
        if fault:
            raise Einval(fault)
        return _of_header(name, path, check_header(path))
    except KernelError as error:
        return Checked(name=name, path=str(path), ok=False, fault=error.message)


def _of_header(name: str, path: Path, header: Header, digest: str = "") -> Checked:
    return Checked(
        name=name, path=str(path), ok=True, digest=digest, version=header.version, title=header.name,
        architecture=header.architecture, tensors=header.tensors, context=header.context_tokens,
        bytes=header.file_bytes,
    )  # fmt: skip
