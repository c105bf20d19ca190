"""Frames and items survive any cut of the stream, and nothing too large is taken or sent."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prytany.abi.errors import Einval
from prytany.abi.wire import FrameReader, decode_frame, decode_item, encode_call, encode_item, join_frame


@pytest.mark.parametrize("count", [0, 1, 15, 16, 4096])
def test_a_joined_frame_is_what_msgspec_would_have_written(count: int) -> None:
    frame = join_frame(70_000, [encode_call(n, "one", (n, "x")) for n in range(1, count + 1)])
    assert frame[4:] == msgspec.msgpack.encode([70_000, [[n, "one", [n, "x"]] for n in range(1, count + 1)]])
    decoded = decode_frame(frame[4:])
    assert [call.n for call in decoded.calls] == list(range(1, count + 1))


def test_an_item_may_carry_bytes_that_were_encoded_before() -> None:
    stored = msgspec.Raw(msgspec.msgpack.encode({"answer": [1, 2]}))
    assert decode_item(encode_item(3, 9, "", stored)[4:]) == (3, 9, "", {"answer": [1, 2]})


@given(bodies=st.lists(st.binary(max_size=40), max_size=8), cuts=st.lists(st.integers(1, 30), max_size=40))
def test_a_stream_may_be_cut_anywhere(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(len(body).to_bytes(4, "little") + body for body in bodies)
    reader, found, at = FrameReader(), list[bytes](), 0
    for cut in [*cuts, len(stream)]:
        if piece := stream[at : at + cut]:
            found += reader.feed(piece)
        at += cut
    assert found == bodies


@pytest.mark.parametrize("argument", ["x" * (5 << 20), object(), 1 << 70])
def test_what_cannot_be_sent_is_einval(argument: object) -> None:
    with pytest.raises(Einval):
        encode_call(1, "one", (argument,))


def test_a_length_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(Einval):
        FrameReader().feed((1 << 30).to_bytes(4, "little"))
