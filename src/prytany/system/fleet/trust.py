"""What an operator trusts when a fleet is brought: what of it is not confined, or reaches outside its folder.

It is asked about once. The answer is kept in the home by a digest of it, the text of what would run included: whoever
changes a tool after the answer is asked about again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

from prytany.abi.errors import Eio
from prytany.drivers.couriers.webhook import LOOPBACK
from prytany.journal.plain import open_plain, read_plain
from prytany.system.fleet.form import Key, Model
from prytany.system.fleet.resolved import ResolvedFleet, within
from prytany.system.fleet.triggers import watched_outside
from prytany.system.tools import digest_beside

FILE = "trusted"
DIGEST_BYTES = 32


def what_is_trusted(fleet: ResolvedFleet, given: Collection[str] = ()) -> list[str]:
    """In words, what has to be trusted; nothing where all of it is confined to its folder, and to those that the
    operator has `given` by name."""
    said = [f"the tools in {path} run outside of any confinement" for path in fleet.tools.values()]
    for agent in fleet.agents.values():
        if agent.kind == "inline":
            said.append(f"{agent.name} ({agent.program}) runs in the kernel itself, unconfined")
        elif agent.program and not within(agent.program.rpartition(":")[0], fleet.folder):
            said.append(f"{agent.name} runs the program {agent.program}")
        if agent.python:
            said.append(f"{agent.name} runs in the interpreter or environment {agent.python}")
        chat = agent.chat
        if chat is not None and chat.read_from:
            said.append(f"{agent.name} tells its model what stands in {chat.read_from}")
        for place, mode in {**agent.unveil, **dict.fromkeys(chat.skills if chat else (), "r")}.items():
            if place not in given and not within(place, fleet.folder):
                said.append(f"{agent.name} may {'write to' if 'w' in mode else 'read'} {place}")
    for name, model in fleet.models.items():
        said += _of_model(fleet, name, model)
    said += watched_outside(fleet)
    for notice in fleet.notify:
        used = sorted({key.secret for key in (*notice.headers.values(), *notice.env.values())})
        given_secrets = f", with {_secrets(fleet, used)}" if used else ""
        if notice.command is not None:
            said.append(f"notices run the command {' '.join(notice.command)}{given_secrets}")
        if isinstance(notice.webhook, Key):
            said.append(f"notices are sent to the address in {_secrets(fleet, [notice.webhook.secret])}{given_secrets}")
        elif notice.webhook is not None:
            said.append(f"notices are sent to {notice.webhook}{given_secrets}")
    return said


def _secrets(fleet: ResolvedFleet, names: Collection[str]) -> str:
    """These secrets, with where each is taken from: its name alone is the file's to choose."""
    shown: list[str] = []
    for name in names:
        secret = fleet.secrets[name]
        if secret.env is not None:
            shown.append(f"{name} (the variable {secret.env})")
        elif secret.credential is not None:
            shown.append(f"{name} (the credential {secret.credential})")
        else:
            shown.append(f"{name} (the file {os.path.normpath(os.path.join(fleet.folder, secret.file or ''))})")
    return f"the secret{'s' * (len(shown) > 1)} {', '.join(shown)}"


def _of_model(fleet: ResolvedFleet, name: str, model: Model) -> Iterator[str]:
    """Where what is asked of a model goes, and what is read for it."""
    if model.base_url is not None and (model.key is not None or not _is_here(model.base_url)):
        key = f", with {_secrets(fleet, [model.key.secret])}" if model.key is not None else ""
        yield f"what is asked of the model {name} ({model.model}) is sent to {model.base_url}{key}"
    if model.file is not None and model.driver == "local":
        yield f"the model {name} is the file {model.file}, which is loaded unconfined"
    elif model.file is not None and not within(model.file, fleet.folder):
        yield f"the model {name} answers what stands in {model.file}"


def _is_here(address: str) -> bool:
    """Whether it is one of this machine."""
    try:
        return urlsplit(address).hostname in LOOPBACK
    except ValueError:
        return False


def digest_of(fleet: ResolvedFleet, given: Collection[str] = ()) -> str:
    """Of what is trusted, with the texts that would run, those that they import from beside them included."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    programs = {a.program.rpartition(":")[0] for a in fleet.agents.values() if a.kind == "inline"}
    for said in what_is_trusted(fleet, given):
        digest.update(said.encode("utf-8", "surrogateescape") + b"\0")
    for path in sorted({*fleet.tools.values(), *programs, *_of_commands(fleet)}):
        try:
            text = Path(path).read_bytes()
        except OSError:
            text = b""
        digest.update(f"{path}\0{len(text)}\0".encode("utf-8", "surrogateescape") + text)
    for path in sorted({*fleet.tools.values(), *programs}):
        digest.update(digest_beside(path))
    for path in sorted({m.file for m in fleet.models.values() if m.file and m.driver == "local"}):
        digest.update(repr(_size_and_time(path)).encode())  # its text would take seconds to read
    return digest.hexdigest()


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _of_commands(fleet: ResolvedFleet) -> Iterator[str]:
    """The files that the commands of notices name: what is run, and what it is given."""
    for notice in fleet.notify:
        for word in notice.command or ():
            path = Path(fleet.folder) / word
            if path.is_file() and (path.is_relative_to(fleet.folder) or os.access(path, os.W_OK)):
                yield str(path)


def is_trusted(home: Path, digest: str) -> bool:
    """Whether the operator of that home said so before."""
    try:
        return digest in read_plain(home / FILE).decode("ascii", "replace").split()
    except OSError:
        return False


def remember(home: Path, digest: str) -> None:
    """Keep the operator's word. Raises Eio."""
    try:
        fd = open_plain(home / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(fd, "ab") as file:
            file.write(f"{digest}\n".encode())
    except OSError as error:
        raise Eio(f"what is trusted cannot be kept in {home / FILE}: {error.strerror}") from None
