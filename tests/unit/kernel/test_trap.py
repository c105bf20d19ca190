"""Whatever bytes a worker sends as arguments, a call ends in an answer."""

from __future__ import annotations

import pytest

from prytany.abi.errors import Einval
from prytany.abi.syscalls import SYSCALLS
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
