"""Tags are short plain names, few of them, each once."""

from __future__ import annotations

import pytest

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.names import check_tags


def test_they_are_put_together_each_once_and_in_order() -> None:
    assert check_tags(["b", "a"], ("a", "C-_9")) == ["C-_9", "a", "b"]
    assert check_tags() == []


@pytest.mark.parametrize(
    "tag", ["", " ", "a b", "\x1b[31mred", "a\n", "ä", "1a", "-a", "a,b", "x" * (limits.TAG_CHARS_MAX + 1), "\udcff"]
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(Einval) as caught:
        check_tags([tag])
    assert caught.value.message.isprintable()


def test_ten_thousand_are_too_many() -> None:
    with pytest.raises(Einval, match="10000 tags"):
        check_tags(f"t{n}" for n in range(10_000))
