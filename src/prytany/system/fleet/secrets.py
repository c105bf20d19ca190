"""A fleet's secrets, taken from where its file says when they are needed; they are nowhere recorded."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from prytany.abi import limits
from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.system.fleet.form import CREDENTIAL, Secret

FOLDER = "CREDENTIALS_DIRECTORY"
"""The variable by which a service manager names the folder of its credentials. Source: systemd.exec(5)."""
ACL_MASK = 0o040
"""systemd lets the service's user read by an access list, whose mask stands where the group's bits are."""
PLACE_CHARS_MAX = 200


def read_secret(name: str, secret: Secret, folder: str, environment: Mapping[str, str]) -> str:
    """The value of a secret.

    Args:
        name: the fleet's, for errors.
        secret: where it is from.
        folder: the fleet file's.
        environment: the operator's.

    Raises:
        Enoent: the variable is not set, or the file or credential cannot be read.
        Eacces: others than its owner may read the file or credential.
        Einval: it is empty, too large, or no printable ASCII; there is no folder of credentials of that name.
    """
    if secret.env is not None:
        value = environment.get(secret.env)
        if value is None:
            raise _advised(
                Enoent(f"the secret {name!r} is from the environment's {secret.env}, which is not set"),
                f"export {secret.env}=… in the shell that gives the command, and give it again",
            )
    elif secret.credential is not None:
        value = _credential(name, secret.credential, environment.get(FOLDER, ""))
    else:
        path = os.path.join(folder, secret.file or "")
        value = _content(name, path, f"chmod 600 {path}").partition("\n")[0].strip()
    if not value:
        raise Einval(f"the secret {name!r} is empty")
    if len(value) > limits.TOOL_SECRET_BYTES_MAX:
        raise Einval(f"the secret {name!r} has more than {limits.TOOL_SECRET_BYTES_MAX} bytes")
    if not (value.isascii() and value.isprintable()):
        raise Einval(f"the secret {name!r} has characters that no key has")
    return value


def _credential(name: str, credential: str, folder: str) -> str:
    """What a service manager handed over; all of it, but for the end of its only line."""
    if not folder:
        raise _advised(
            Enoent(f"the secret {name!r} is the credential {credential}, and no service manager gave any ({FOLDER})"),
            f"have systemd give it, with LoadCredential={credential}:PATH, or set {FOLDER} to a folder",
        )
    if not os.path.isabs(folder):
        raise Einval(f"{FOLDER} is {folder[:PLACE_CHARS_MAX]!r}, which is no absolute path")
    if not re.fullmatch(CREDENTIAL, credential):  # it comes from a resolved fleet, which nobody has checked here
        raise Einval(f"the secret {name!r} is a credential of a name that none can have")
    path = os.path.join(folder, credential)
    return _content(name, path, f"chmod 400 {path}", ACL_MASK).removesuffix("\n").removesuffix("\r")


def _content(name: str, path: str, mend: str, masked: int = 0) -> str:
    """A file's text, as far as a secret can go. Bits of `masked` do not count where root owns it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise Einval(f"the secret {name!r} is from {path}, which is no file")
            if found.st_mode & 0o077 & ~(masked if found.st_uid == 0 else 0):
                raise Eacces(f"the secret {name!r} is from {path}, which others may read; mend it: {mend}")
            return file.read(limits.TOOL_SECRET_BYTES_MAX + 2).decode("utf-8", "replace")
    except OSError as error:
        raise _advised(
            Enoent(f"the secret {name!r} is from {path}, which cannot be read: {error.strerror}"),
            f"write it into {path}, as one line that only its owner may read: {mend}",
        ) from None


def _advised(error: Enoent, advice: str) -> Enoent:
    error.add_note(advice)
    return error
