"""The variable that bounds contexts in memory, as it is written and mistyped."""

from __future__ import annotations

import pytest

from prytany.abi.errors import Einval
from prytany.cli.context_memory import VARIABLE, context_bytes


@pytest.mark.parametrize(("said", "found"), [("", 0), (" ", 0), ("1", 1 << 20), (" 64 ", 64 << 20)])
def test_it_is_in_mebibytes_and_need_not_be_there(monkeypatch: pytest.MonkeyPatch, said: str, found: int) -> None:
    monkeypatch.setenv(VARIABLE, said)
    assert context_bytes() == found


@pytest.mark.parametrize("said", ["0", "-1", "x", "1.5", "٣", "9" * 5_000, "1048577", "64M"])
def test_what_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(Einval):
        context_bytes()
