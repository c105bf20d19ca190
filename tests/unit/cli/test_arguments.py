"""What a program is given from the command line."""

from __future__ import annotations

import pytest

from prytany.abi.errors import Einval
from prytany.cli.arguments import given_arguments
from prytany.cli.journal import parse_head  # pyright: ignore[reportPrivateUsage]


def test_a_value_is_json_where_it_is_json_and_else_text() -> None:
    texts = ["path=/a/b=c", "n=3", 'all=[1, {"a": null}]', 'quoted="3"', "empty=", "odd={"]
    assert given_arguments(texts, {"input": "/in"}) == {
        "input": "/in", "path": "/a/b=c", "n": 3, "all": [1, {"a": None}], "quoted": "3", "empty": "", "odd": "{",
    }  # fmt: skip


@pytest.mark.parametrize(
    "texts", [["path"], ["=1"], ["a-b=1"], ["a=1", "a=2"], ["input=/x"], ["n=" + "9" * 30], ["s=\udcff"], [""]]
)
def test_what_is_no_argument_is_refused(texts: list[str]) -> None:
    with pytest.raises(Einval):
        given_arguments(texts, {"input": "/in"})


@pytest.mark.parametrize("text", ["x", "1", "1:", "1:00", "1:" + "g" * 32, "-1:" + "0" * 32, "1:" + "0" * 33, ":"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        parse_head(text)
    assert parse_head(f"7:{'0a' * 16}").seq == 7
