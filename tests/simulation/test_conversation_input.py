"""Calls about contexts with input that is missing, huge, malformed or hostile: each has its errno, and no harm."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.wire import encode_call
from prytany.kernel.folding import fold
from prytany.kernel.trap import decode_arguments
from tests.simulation import fleet as fleets
from tests.simulation.conversations import refused, talking

USER = {"role": "user", "content": "x"}
MANY = [f"label {number}" for number in range(limits.CONTEXT_LABELS_MAX + 1)]

CASES: list[tuple[str, list[Any], str]] = [
    ("context_append", [1, [USER]], ""),
    ("context_append", [2, [USER]], "ENOENT"),
    ("context_append", [-1, [USER]], "ENOENT"),
    ("context_append", [1 << 63, [USER]], "ENOENT"),
    ("context_append", ["1", [USER]], "EINVAL"),
    ("context_append", [1, []], "EINVAL"),
    ("context_append", [1, ["x"]], "EINVAL"),
    ("context_append", [1, [{"role": "owner", "content": "x"}]], "EINVAL"),
    ("context_append", [1, [{"role": ["user"], "content": "x"}]], "EINVAL"),
    ("context_append", [1, [{"content": "x"}]], "EINVAL"),
    ("context_append", [1, [{"role": "user"}]], "EINVAL"),
    ("context_append", [1, [{"role": "user", "content": b"x"}]], "EINVAL"),
    ("context_append", [1, [{"role": "user", "content": {"a": 1}}]], "EINVAL"),
    ("context_append", [1, [{"role": "user", "content": [{1: 2}]}]], "EINVAL"),
    ("context_append", [1, [USER, {"role": "user", "content": "x" * (100 << 20)}]], "EINVAL"),
    ("context_append", [1, [USER], "operator"], "EPERM"),
    ("context_append", [1, [USER], "model:gpt"], "EPERM"),
    ("context_append", [1, [USER], "kernel"], "EINVAL"),
    ("context_append", [1, [USER], "tool:" + "x" * 200], "EINVAL"),
    ("context_append", [1, [USER], "user:Ada"], ""),
    ("context_append", [1, [USER], "", [""]], "EINVAL"),
    ("context_append", [1, [USER], "", ["x" * 1_000]], "EINVAL"),
    ("context_append", [1, [USER], "", MANY], "EINVAL"),
    ("context_append", [1, [USER], "", MANY[:20]], ""),
    ("context_append", [1, [USER], "", [f"other {n}" for n in range(20)]], "EINVAL"),
    ("context_open", [[], MANY], "EINVAL"),
    ("context_open", [[{"role": "owner", "content": "x"}]], "EINVAL"),
    ("context_fork", [9], "ENOENT"),
    ("context_fork", [1, b"no such node"], "ENOENT"),
    ("context_read", [9], "ENOENT"),
    ("context_read", [1, -1], "EINVAL"),
    ("context_read", [1, 0, 0], "EINVAL"),
    ("context_read", [1, 0, limits.CONTEXT_READ_MAX + 1], "EINVAL"),
    ("context_read", [1, 1_000_000], ""),
    ("context_close", [9], "ENOENT"),
    ("model_chat", [[USER], "", {}, 9], "ENOENT"),
    ("model_chat", [[{"role": "owner", "content": "x"}], "", {}, 1], "EINVAL"),
    ("model_chat", [[], "", {}, 1], ""),
    ("context_open", [], "EINVAL"),
    ("context_close", [1], ""),
    ("context_close", [1], "ENOENT"),
    ("context_read", [1], "ENOENT"),
]


def test_each_call_ends_as_it_should_and_the_chain_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [[name, args] for name, args, _ in CASES if args]

    async def cases(proc: Any) -> list[str]:
        return await refused(proc, calls)

    monkeypatch.setitem(fleets.PROGRAMS, "refused", cases)
    fleet = talking("refused")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    expected = [errno for _, args, errno in CASES if args]
    assert [*zip(calls, ended["result"], strict=True)] == [*zip(calls, expected, strict=True)]


def test_a_process_has_a_bounded_number_of_contexts_and_closing_one_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "CONTEXTS_MAX", 2)

    async def many(proc: Any) -> list[str]:
        cases: list[list[Any]] = [
            ["context_open", [[]]], ["context_open", [[]]], ["context_fork", [1]], ["context_close", [2]],
            ["context_fork", [1]],
        ]  # fmt: skip
        return await refused(proc, cases)

    monkeypatch.setitem(fleets.PROGRAMS, "refused", many)
    fleet = talking("refused")
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["result"] == ["", "EDQUOT", "EDQUOT", "", ""]
    assert list(fold(fleet.store.reader())[0].contexts.owned[1].heads) == [1, 3]


@pytest.mark.parametrize(("limit", "most"), [("CONTEXT_BYTES_MAX", 30), ("CONTEXT_MESSAGES_MAX", 2)])
def test_a_context_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(limits, limit, most)

    async def fills(proc: Any) -> list[str]:
        return await refused(proc, [["context_append", [1, [USER]]]] * 3 + [["model_chat", [[USER], "", {}, 1]]])

    monkeypatch.setitem(fleets.PROGRAMS, "refused", fills)
    ended = asyncio.run(talking("refused").live())
    assert ended is not None
    assert ended["result"] == ["", "EDQUOT", "EDQUOT", "EDQUOT"]


def test_a_worker_cannot_send_a_lone_surrogate_or_a_message_of_100_megabytes() -> None:
    for content in ("\ud800", "x" * (100 << 20)):
        with pytest.raises(Einval):
            encode_call(1, "context_append", (1, [{"role": "user", "content": content}]))


def test_bytes_that_are_no_text_and_nesting_without_end_are_einval_in_the_kernel() -> None:
    text = msgspec.msgpack.encode((1, [{"role": "user", "content": "?????"}]))
    with pytest.raises(Einval):
        decode_arguments("context_append", text.replace(b"?????", b"a\xed\xa0\x80b"))
    nested = msgspec.msgpack.encode([{"role": "user", "content": None}]).replace(b"\xc0", b"\x91" * 100_000 + b"\xc0")
    with pytest.raises(Einval):
        decode_arguments("context_append", b"\x92\x01" + nested)
