"""Whatever bytes a worker sends as arguments, a call ends in an answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from prytany.abi.errors import Einval
from prytany.abi.syscalls import SYSCALLS, Syscall
from prytany.abi.values import pack
from prytany.kernel.trap import decode_arguments

ODD = {
    "a map as a key": b"\x92\x00\x81\x80\x01",
    "an extension as a key": b"\x92\x00\x81\xc7\x00\x05\x01",
    "no text": b"\x92\x00\xa1\xff",
    "deep": b"\x92\x00" + b"\x91" * 100_000 + b"\xc0",
    "cut off": b"\x92\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_arguments_are_an_error_of_the_call(odd: str) -> None:
    with pytest.raises(Einval):
        decode_arguments("process_exit", ODD[odd])
    for call in SYSCALLS:
        try:
            decode_arguments(call.name, ODD[odd])
        except Einval:
            continue


OF_TYPE: dict[str, Any] = {"by": b"", "bo": False, "in": 0, "st": "", "li": [], "di": {}, "An": None}
"""A value of each type of the table, by its first letters."""


def fitting(call: Syscall) -> list[Any]:
    """Arguments of a call, all of them."""
    return [OF_TYPE[argument.type[:2]] for argument in call.arguments]


@pytest.mark.parametrize("call", SYSCALLS, ids=lambda call: call.name)
def test_every_call_takes_as_many_arguments_as_the_table_says_and_no_others(call: Syscall) -> None:
    whole = fitting(call)
    needed = sum(argument.default is msgspec.NODEFAULT for argument in call.arguments)
    for count in range(needed, len(whole) + 1):
        args = decode_arguments(call.name, pack(whole[:count]))
        assert [getattr(args, argument.name) for argument in call.arguments[:count]] == whole[:count]
    for wrong in (*(whole[:count] for count in range(needed)), [*whole, None], [*whole, *range(1_000)]):
        with pytest.raises(Einval):
            decode_arguments(call.name, pack(wrong))
