"""Which agent is meant, and who is shown to have asked for what."""

from __future__ import annotations

import pytest

from prytany.abi.control import FleetRow, Said
from prytany.abi.errors import Einval
from prytany.cli.chat import agent_of
from prytany.cli.screen import Screen


def row(name: str, entry: str, *chats: str) -> FleetRow:
    agents = dict.fromkeys(("tool", *chats), "")
    return FleetRow(
        number=1, name=name, stays=True, agents=agents, models=[], processes=0, entry=entry, chats=list(chats)
    )


def test_without_a_name_it_is_the_entry_or_the_only_chat_agent() -> None:
    assert agent_of([row("a", "x", "w", "x")], "") == ("a", "x")
    assert agent_of([row("a", "tool", "x")], "") == ("a", "x")
    assert agent_of([row("a", "tool", "x"), row("b", "tool")], "") == ("a", "x")


def test_only_chat_agents_are_advised() -> None:
    with pytest.raises(Einval) as error:
        agent_of([row("a", "tool", "x", "y")], "")
    assert error.value.__notes__ == ["name one of x, y"]


def test_who_asked_for_what_another_client_shows_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=False, incidents="")
    said = Said(seq=1, kind="said", number=3, value={"uid": 7, "type": "tools", "body": {}})
    screen.show(said, mine=True)
    assert capsys.readouterr().out == ""
    screen.show(said, mine=False)
    assert capsys.readouterr().out == "[uid 7 gives /tools]\n"
