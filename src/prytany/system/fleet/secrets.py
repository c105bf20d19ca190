"""A fleet's secrets, taken from where its file says when they are needed; they are nowhere recorded."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from prytany.abi import limits
from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.system.fleet.form import Secret


def read_secret(name: str, secret: Secret, folder: str, environment: Mapping[str, str]) -> str:
    """The value of a secret.

    Args:
        name: the fleet's, for errors.
        secret: where it is from.
        folder: the fleet file's.
        environment: the operator's.

    Raises:
        Enoent: the variable is not set, or the file cannot be read.
        Eacces: others than its owner may read the file.
        Einval: it is empty, too large, or no printable ASCII.
    """
    if secret.env is not None:
        value = environment.get(secret.env)
        if value is None:
            raise Enoent(f"the secret {name!r} is from the environment's {secret.env}, which is not set")
    else:
        value = _from_file(name, os.path.join(folder, secret.file or ""))
    if not value:
        raise Einval(f"the secret {name!r} is empty")
    if len(value) > limits.TOOL_SECRET_BYTES_MAX:
        raise Einval(f"the secret {name!r} has more than {limits.TOOL_SECRET_BYTES_MAX} bytes")
    if not (value.isascii() and value.isprintable()):
        raise Einval(f"the secret {name!r} has characters that no key has")
    return value


def _from_file(name: str, path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise Einval(f"the secret {name!r} is from {path}, which is no file")
            if mode & 0o077:
                raise Eacces(f"the secret {name!r} is from {path}, which others may read; mend it: chmod 600 {path}")
            first = file.read(limits.TOOL_SECRET_BYTES_MAX + 2).partition(b"\n")[0]
    except OSError as error:
        raise Enoent(f"the secret {name!r} is from {path}, which cannot be read: {error.strerror}") from None
    return first.strip().decode("utf-8", "replace")
