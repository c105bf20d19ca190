"""Handing over: `proc.handoff`, and `proc.handed` for who was handed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from prytany.userland.calls import Calls
from prytany.userland.conversation import Conversation


class Handed:
    """What an agent goes on with that was handed to; `proc.handed`."""

    def __init__(self, given: Mapping[str, Any], open_talk: Callable[[int], Conversation]) -> None:
        self.by: str = given["by"]
        """The agent that handed over."""
        self.reason: str = given["reason"]
        self.variables: dict[str, Any] = given["variables"]
        self.messages: tuple[int, ...] = tuple(given["heard"])
        """Messages that come again, and whose words the conversation holds."""
        self._number: int = given["context"]
        self._open_talk = open_talk
        self._conversation: Conversation | None = None

    @property
    def conversation(self) -> Conversation | None:
        """What was said so far, to go on with; None where nothing was handed over."""
        if self._conversation is None and self._number:
            self._conversation = self._open_talk(self._number)
        return self._conversation

    def __repr__(self) -> str:
        return f"Handed(by={self.by!r}, reason={self.reason!r})"


class Handing:
    """A part of `Process`."""

    calls: Calls
    handed: Handed | None
    """What this agent goes on with, where another handed over to it."""

    async def handoff(
        self, agent: str, /, *args: Any, conversation: Conversation | None = None,
        variables: Mapping[str, Any] | None = None, reason: str = "", last: int | None = None,
        without_tools: bool = False, heard: bool = True,
    ) -> NoReturn:  # fmt: skip
        """Go on as another agent of the fleet: same pid, mailbox and session; its program, its model, its rights.

        What is in flight is cancelled. Messages in hand come to the other agent; whoever waits for this process waits
        for that. Of the conversations the one that is handed over goes on, and the others are closed.

        Args:
            agent: which of those that `handoff` of this agent names in the fleet file.
            args: positional arguments of its program; plain data.
            conversation: what was said so far. It costs a pointer; what a filter leaves of it is said anew.
            variables: plain data for `proc.handed.variables`.
            reason: for `proc.handed.reason`, and for people.
            last: the last so many messages of it, and no others.
            without_tools: what was said, and not what tools were asked and gave.
            heard: the conversation holds what the messages in hand say.

        Raises:
            Eperm: `handoff` of this agent does not name that one.
            Edeadlk: agents hand over to each other, again and again, and nothing is done in between.
            Einval: what is handed over is no plain data, or too large; the other's model cannot see its pictures.
            Ecanceled: this process was told to end.
        """
        number = 0
        if conversation is not None:
            await conversation.begin()
            if last is not None or without_tools:
                conversation = await conversation.selected(last=last, without_tools=without_tools)
            number = conversation.number
        await self.calls.agent_handoff(
            agent, list(args), number, dict(variables or {}), reason, heard and number > 0 and last != 0
        )
        raise AssertionError("a handoff has no answer")
