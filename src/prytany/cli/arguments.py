"""The arguments of a program, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from prytany.abi.errors import Einval


def given_arguments(texts: Sequence[str], taken: dict[str, str]) -> dict[str, Any]:
    """The keyword arguments of `--arg NAME=VALUE`, with those that `--input` and `--output` give.

    A VALUE is read as JSON where it is JSON, and is text otherwise. Raises Einval.
    """
    given: dict[str, Any] = dict(taken)
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise Einval(f"--arg {text[:100]!r} is not NAME=VALUE")
        if name in given:
            raise Einval(f"the argument {name!r} is given twice")
        given[name] = json_or_text(value, f"--arg {text[:100]!a}")
    return given


def json_or_text(text: str, what: str) -> Any:
    """`text` as JSON where it is JSON, and else as it is; raises Einval of `what` where no program can be given it."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        value = text
    try:
        msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise Einval(f"{what} cannot be given to a program: {error}") from None
    return value
