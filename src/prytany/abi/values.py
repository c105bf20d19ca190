"""What a call is answered with, packed: its value; or, beside an errno, what is said of it: `[message, detail]`.

The same bytes are digested, stored and sent, so there is one way to make them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

pack = msgspec.msgpack.encode
"""A value in msgpack; raises TypeError, ValueError, OverflowError or RecursionError for what has no such form."""
NIL: Final = b"\xc0"
"""No value, packed."""
_NOTHING_MORE: Final[Mapping[str, Any]] = MappingProxyType({})


def pack_error(message: str, detail: Mapping[str, Any] = _NOTHING_MORE) -> bytes:
    """What is said of a call that failed, for people and, in `detail`, for programs."""
    return pack([message, dict(detail)])
