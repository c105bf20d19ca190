"""Secrets are struck out in every form that a tool is likely to write them in, and over the pieces of a stream."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import msgspec
import pytest

from prytany.drivers.tools.python.strike import Strike

SECRET = 'hunter2/"ö\n+x'


@pytest.mark.parametrize(
    "written",
    [SECRET, json.dumps(SECRET), repr(SECRET), quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()],
)
def test_a_secret_is_struck_out_as_it_is_written(written: str) -> None:
    said = Strike({"KEY": SECRET}).text(f"<{written}>")
    assert "[KEY]" in said
    assert "hunter2" not in said


def test_a_secret_is_struck_out_of_results_and_what_holds_none_is_not_touched() -> None:
    strike = Strike({"KEY": SECRET})
    value = {"a": [SECRET, {f"x{SECRET}": SECRET.encode()}], "b": 1}
    assert strike.packed(msgspec.msgpack.encode(value)) == {"a": ["[KEY]", {"x[KEY]": b"[KEY]"}], "b": 1}
    plain = msgspec.msgpack.encode({"a": 1})
    assert bytes(strike.packed(plain)) == plain


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_secret_that_comes_in_pieces_is_struck_out_and_nothing_is_lost(size: int) -> None:
    strike = Strike({"KEY": "aabaab!", "OTHER": "hunter2"})
    data = b"begin aabaab! aabaaabaab! hunter hunter2 aabaab"
    pieces = [strike.stream(data[at : at + size]) for at in range(0, len(data), size)]
    pieces.append(strike.stream(b"", last=True))
    assert b"".join(pieces) == b"begin [KEY] aaba[KEY] hunter [OTHER] aabaab"


def test_only_what_could_become_a_secret_is_kept_back() -> None:
    strike = Strike({"KEY": "hunter2"})
    assert strike.stream(b"a line\n") == b"a line\n"
    assert strike.stream(b"a line hun") == b"a line "
    assert strike.stream(b"gry\n") == b"hungry\n"


def test_a_longer_secret_that_holds_a_shorter_one_goes_first_and_tiny_ones_stay() -> None:
    assert Strike({"A": "secret", "B": "secret-more", "C": "a"}).text("a secret-more secret") == "a [B] [A]"
