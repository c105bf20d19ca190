"""What is heard, shown: for people as text whose control characters are escapes, for programs as JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from prytany.abi.control import Said
from prytany.abi.ids import Pid, format_pid
from prytany.cli.outlet import Outlet
from prytany.cli.text import json_line, note, safe


class Screen:
    """Standard output, with a prompt on it at times."""

    def __init__(self, as_json: bool, incidents: str, *, alone: bool = False, why: str = "") -> None:
        """`incidents` is the command that shows what needs a person, `why` the one that shows why it stands still;
        `alone` leaves nothing but answers on standard output."""
        self.as_json = as_json
        self.out = Outlet()
        self._alone = alone
        self._incidents = incidents
        self._why = why
        self._streamed = ""
        self._prompt = ""
        self._begun: Callable[[], str] = str

    def with_prompt(self, begun: Callable[[], str]) -> None:
        """`begun` gives what was typed so far."""
        self._begun = begun

    def prompt(self, prompt: str) -> None:
        """A person is asked with that, or "" has answered. It is shown by whoever reads."""
        if prompt and self._streamed:
            self.out.write("\n")
            self._streamed = ""
        self._prompt = prompt

    def show(self, said: Said, mine: bool) -> None:
        """One thing that was heard; `mine` is what this person said."""
        if self.as_json:
            if not mine:
                self.out.write(f"{json_line(said)}\n")
            return
        value: Any = said.value
        if said.forgotten:
            self.line(f"[{said.kind}: its words were forgotten]")
            return
        match said.kind:
            case "said":
                if not mine and value["type"] in ("say", "new", "tools"):
                    what = f"says: {_text(value['body'])}" if value["type"] == "say" else f"gives /{value['type']}"
                    self.line(f"[uid {value['uid']} {what}]")
            case "model":
                self._end_line()
            case "piece":
                self._piece(str(value))
            case "tool":
                self.line(f"[uses {value}]")
            case "incident":
                self.line(f"[needs a person: {value}; {self._incidents}]")
            case "handoff":
                self.line(f"[{value['agent']} goes on, to whom {value['by']} handed over]")
            case "stopped":
                self.line(f"[is stopped: {value}; {self._why}]")
            case "reply":
                self._reply(said)
            case _:
                self.line(f"[it has ended: {value}]")

    def line(self, text: str) -> None:
        """A line of its own; for programs it is a note."""
        if self.as_json or self._alone:
            note(text, self.as_json)
        else:
            self._answer(text)

    def _answer(self, text: str) -> None:
        self._end_line()
        self._above(safe(text, lines=True) + "\n")

    def _piece(self, text: str) -> None:
        if self._prompt and not self._streamed:
            self.out.write(_cleared())
        self._streamed += text
        self.out.write(safe(text, lines=True))

    def _reply(self, said: Said) -> None:
        value: Any = said.value
        if self._alone and (said.errno or _has(value, "interrupted") or _has(value, "error")):
            self._end_line()  # whoever asked says why
        elif said.errno:
            self.line(f"[{said.errno}: {value[0]}]")
        elif _has(value, "interrupted"):
            self.line("[interrupted]")
        elif _has(value, "error"):
            self.line(f"[{value['error']['errno']}: {value['error']['message']}]")
        else:
            answer: Any = value["answer"] if _has(value, "answer") else value
            text = answer if isinstance(answer, str) else json_line(answer)
            if self._streamed and (text == self._streamed or not isinstance(answer, str)):
                self._end_line()
                self._above("")
            else:
                self._answer(text)

    def _end_line(self) -> None:
        if self._streamed:
            self.out.write("\n")
            self._streamed = ""

    def _above(self, text: str) -> None:
        """Text above the prompt, if there is one, with what was typed in it."""
        if not self._prompt:
            self.out.write(text)
            return
        self.out.write(f"{_cleared()}{text}{self._prompt}{safe(self._begun())}")


@cache
def _cleared() -> str:
    """What empties the line that the cursor is in."""
    from rich.control import Control  # who talks in a pipe does without
    from rich.segment import ControlType

    return str(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))


def ended_line(pid: int, why: object) -> str:
    """What is said of a process that is no more."""
    return f"{format_pid(Pid(pid))} has ended: {why}"


def _text(body: Any) -> str:
    return str(body["text"]) if _has(body, "text") else json_line(body)


def _has(value: object, key: str) -> bool:
    return isinstance(value, dict) and key in value
