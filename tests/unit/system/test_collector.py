"""The collector looks less often in a kernel's process, and nobody's own choice is undone."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from prytany.system.collector import NEW_OBJECTS, look_less_often


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((700, 10, 10), (NEW_OBJECTS, 20, 10)),
        ((NEW_OBJECTS * 2, 5, 5), (NEW_OBJECTS * 2, 5, 5)),
        ((0, 10, 10), (0, 10, 10)),
    ],
)
def test_it_looks_at_most_so_often(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    look_less_often()
    assert gc.get_threshold() == after
