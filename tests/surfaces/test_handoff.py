"""A person talks with one agent, and goes on with another: on real kernels and workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.commands import prytany
from tests.surfaces.test_talking import talk, up

FLEET = """
version: 1
name: desk
models:
  seller: {driver: scripted, file: seller.json}
  mender: {driver: scripted, file: mender.json}
agents:
  sales: {instruction: "You sell.", model: seller, handoff: [support, clerk], about: Sells.}
  support: {instruction: "You mend.", model: mender, handoff: [sales], about: Mends.}
  clerk: {program: clerk.py:Clerk, handoff: [support], about: Counts.}
entry: sales
"""
CLERK = """
from prytany import Server


class Clerk(Server):
    pledge = "ipc model"

    async def on_say(self, text: str) -> str:
        handed = self.proc.handed
        talk = handed.conversation
        if text == "mend it":
            await self.proc.handoff("support", variables={"order": 7}, reason="it is broken")
        if text == "mend that":
            await talk.append("user", text)
            await self.proc.handoff("support", conversation=talk)
        said = [message.role for message in await talk.messages()]
        return f"{handed.by} {self.message.attempt} {text} {' '.join(said)}"
"""
SELLER: list[dict[str, Any]] = [
    {"when": "broken", "role": "user", "tool_calls": [{"name": "handoff_to_support", "arguments": {"reason": "mend"}}]},
    {"when": "count", "role": "user", "tool_calls": [{"name": "handoff_to_clerk"}]},
    {"when": "wrong", "role": "user", "tool_calls": [{"name": "handoff_to_support", "arguments": {"to": 1}}]},
    {"when": "both", "role": "user", "tool_calls": [{"name": "handoff_to_clerk"}, {"name": "handoff_to_support"}]},
    {"when": "handed over to sales", "role": "tool", "text": "Sales again."},
    {"when": "error", "role": "tool", "text": "I stay."},
]
MENDER = [
    {"when": "buy", "role": "user", "tool_calls": [{"name": "handoff_to_sales"}]},
    {"when": "handed over to support", "role": "tool", "text": "I mend it."},
    {"when": "order", "role": "user", "text": "Order 7."},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "clerk.py").write_text(CLERK)
    (tmp_path / "seller.json").write_text(json.dumps({"rules": SELLER}))
    (tmp_path / "mender.json").write_text(json.dumps({"rules": MENDER}))
    return tmp_path


def test_a_session_goes_on_with_the_agent_that_it_was_handed_over_to_and_back(folder: Path) -> None:
    home = folder / "home"
    typed = "Good day.\nIt is broken.\nAnd now?\nI buy another.\n"
    done = talk("chat", "--fleet", str(folder), home=home, typed=typed)
    assert done.stdout.splitlines() == [
        "Good day. [2 words]",
        "[support goes on, to whom sales handed over]",
        "I mend it.",
        "And now? [2 words]",
        "[sales goes on, to whom support handed over]",
        "Sales again.",
    ], done.stderr
    (row,) = [json.loads(line) for line in prytany("ps", "--json", home=home).stdout.splitlines()]
    assert (row["name"], row["agent"]) == ("sales", "sales")
    spent = [json.loads(line) for line in prytany("cost", "--by", "agent", "--json", home=home).stdout.splitlines()]
    assert {row["agent"]: row["calls"] for row in spent if "agent" in row} == {"desk.sales": 3, "desk.support": 3}
    traced = prytany("trace", "1", home=home).stdout
    assert "process.handed_off" in traced


def test_a_program_is_handed_over_to_and_hands_over(folder: Path) -> None:
    home = folder / "home"
    done = talk("chat", "--fleet", str(folder), home=home, typed="Please count.\nmore\nmend it\nwhat\n")
    assert done.stdout.splitlines() == [
        "[clerk goes on, to whom sales handed over]",
        "sales 1 Please count. system user assistant tool",
        "sales 1 more system user assistant tool",
        "[support goes on, to whom clerk handed over]",
        "mend it [2 words]",  # it was not said in what was handed over, which was nothing
        "what [1 words]",
    ], done.stderr
    again = talk("chat", "--fleet", str(folder), home=folder / "again", typed="Please count.\nmend that\n")
    assert again.stdout.splitlines()[-1] == "mend that [2 words]", again.stderr


def test_a_handoff_of_no_form_is_told_to_the_model_and_of_two_the_first_is_done(folder: Path) -> None:
    done = talk("chat", "--fleet", str(folder), home=folder / "home", typed="wrong\nboth\n")
    assert done.stdout.splitlines()[:2] == ["I stay.", "[clerk goes on, to whom sales handed over]"], done.stderr
    assert "system user assistant tool assistant user assistant tool tool" in done.stdout.splitlines()[2]


def test_a_run_ends_with_what_the_other_says(folder: Path) -> None:
    done = prytany("run", str(folder), "--arg", "prompt=It is broken.", "--json", home=folder / "home")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["result"] == "I mend it."
    assert "hands over to support" in done.stderr


def test_who_attends_a_session_later_is_told_whose_it_is_now(folder: Path) -> None:
    with up(folder) as home:
        talk("chat", "--keep", home=home, typed="It is broken.\n")
        (row,) = [json.loads(line) for line in prytany("sessions", "--json", home=home).stdout.splitlines()]
        assert row["agent"] == "support"
        done = talk("attach", str(row["session"]), "--say", "And now?", home=home, typed="")
        assert done.stdout.splitlines()[-1] == "And now? [2 words]", done.stderr


def test_a_fleet_file_that_hands_over_to_nobody_is_refused(folder: Path) -> None:
    (folder / "fleet.yaml").write_text(FLEET.replace("[support, clerk]", "[suport]"))
    done = talk("chat", "--fleet", str(folder), home=folder / "home", typed="")
    assert done.returncode != 0
    assert "there is no agent 'suport'" in done.stderr + done.stdout
