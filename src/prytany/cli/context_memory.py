"""How much memory contexts may take, where the operator says it by a variable of the environment."""

from __future__ import annotations

import os

from prytany.abi.errors import Einval

VARIABLE = "PRYTANY_CONTEXT_MIB"
MIB_MAX = 1 << 20


def context_bytes() -> int:
    """What the variable says, in bytes; 0 where it is not set, and the kernel's own bound holds.

    Raises:
        Einval: it is no whole number of MiB from 1 to a million.
    """
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return 0
    if not (said.isascii() and said.isdecimal() and len(said) <= len(str(MIB_MAX)) and 1 <= int(said) <= MIB_MAX):
        raise Einval(f"{VARIABLE} is a whole number of MiB from 1 to {MIB_MAX}, and not {said[:40]!r}")
    return int(said) << 20
