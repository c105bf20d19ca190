"""What the machine is said to confine."""

from __future__ import annotations

import os

import pytest

from prytany.runtime.checks import check_machine


def test_an_ordinary_user_is_not_told_that_workers_have_a_uid_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    names = [check.name for check in check_machine()]
    assert "uid a worker" not in names
    assert any("only root" in name for name in names)
