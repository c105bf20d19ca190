"""What was forgotten, as who listens is shown it."""

from __future__ import annotations

import pytest

from prytany.abi.control import Said
from prytany.abi.errors import Eio
from prytany.cli.screen import Screen
from prytany.cli.talking import failure_of


@pytest.mark.parametrize("kind", ["said", "piece", "reply"])
def test_words_that_were_forgotten_are_shown_as_that(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = Said(seq=1, kind=kind, number=1, errno="EMODEL" if kind == "reply" else "", forgotten=True)
    Screen(False, "prytany incidents").show(said, mine=False)
    assert capsys.readouterr().out == f"[{kind}: its words were forgotten]\n"
    assert isinstance(failure_of(said), Eio)
