"""How earlier versions would have written a call down.

Arguments are only added at the end of a call, with a default, and the stubs send all of them. So a program that asks
the same as it did under an earlier version sends more than was recorded: the difference is defaults.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from prytany.abi.syscalls import TABLE
from prytany.abi.values import pack

_unpack = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def earlier_forms(call: str, argument: bytes) -> Iterator[bytes]:
    """The packed arguments of `call` with ever fewer of the defaults at their end: none is left out that says more."""
    spec = TABLE.get(call)
    if spec is None:
        return
    try:
        given = _unpack(argument)
    except msgspec.MsgspecError:
        return
    while 0 < len(given) <= len(spec.arguments):
        default = spec.arguments[len(given) - 1].default
        if default is msgspec.NODEFAULT or bytes(given.pop()) != pack(default):
            return
        yield pack(given)
