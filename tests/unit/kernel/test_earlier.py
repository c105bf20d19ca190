"""Calls as earlier versions wrote them down."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from prytany.abi.errors import Ereplay
from prytany.kernel.earlier import earlier_forms
from prytany.kernel.record import Asked, Record
from prytany.kernel.replay import Cursor

pack = msgspec.msgpack.encode
SPAWN: tuple[Any, ...] = (":child", ["a"], {}, "", None)


def forms(call: str, *arguments: Any) -> list[bytes]:
    return list(earlier_forms(call, pack(arguments)))


def test_only_defaults_at_the_end_are_left_out() -> None:
    assert forms("process_spawn", *SPAWN, 0, None)[:2] == [pack((*SPAWN, 0)), pack(SPAWN)]
    assert forms("process_spawn", *SPAWN, 3, None) == [pack((*SPAWN, 3))]
    assert forms("process_spawn", *SPAWN, 0, []) == []
    assert forms("nop", b"") == []
    assert forms("no_such_call", 0) == []


@pytest.mark.parametrize("argument", [b"", b"\xc1", pack({}), pack([0] * 100)])
def test_what_is_no_list_of_arguments_has_no_earlier_form(argument: bytes) -> None:
    assert list(earlier_forms("process_spawn", argument)) == []


def test_a_call_that_says_more_than_was_recorded_is_ereplay() -> None:
    def replay(argument: bytes) -> None:
        cursor = Cursor(Record(0, [], {1: Asked("process_spawn", pack(SPAWN))}))
        cursor.on_call(1, "process_spawn", argument, lambda content: content)

    replay(pack((*SPAWN, 0, None)))
    with pytest.raises(Ereplay):
        replay(pack((*SPAWN, 1, None)))
