"""Output that waits for whoever reads it, and signals meanwhile."""

from __future__ import annotations

import signal

import pytest

from prytany.cli.outlet import Outlet, Untaken


def test_who_was_told_to_end_just_before_a_write_does_not_begin_it(capsys: pytest.CaptureFixture[str]) -> None:
    outlet = Outlet()
    outlet.on_signal(signal.SIGTERM, None)
    with pytest.raises(Untaken) as untaken:
        outlet.write("more")
    assert untaken.value.number == signal.SIGTERM
    outlet.heeded()
    outlet.on_signal(signal.SIGINT, None)  # it may be an answer that is to end, and that is for the loop to say
    outlet.write("more")
    assert capsys.readouterr().out == "more"


def test_what_is_long_comes_whole_and_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    print("before", end=" ")
    text = "".join(f"{n} wörter 語 " for n in range(2_000))
    Outlet().write(text)
    assert capfd.readouterr().out == "before " + text
