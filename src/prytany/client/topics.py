"""The client's methods about topics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from prytany.abi import control
from prytany.abi.errors import Eio


class TopicsClient(ABC):
    """Part of `Client`."""

    async def topics(self) -> list[control.TopicRow]:
        """All topics, by scope and name."""
        rows: list[control.TopicRow] = await self._ask(control.ListTopics())
        page = rows
        while len(page) == control.ROWS_MAX:
            last = rows[-1].scope, rows[-1].topic
            page = await self._ask(control.ListTopics(*last))
            if page and (page[0].scope, page[0].topic) <= last:
                raise Eio("the kernel lists the same topics again")
            rows += page
        return rows

    async def subscribers(self) -> list[control.SubscriberRow]:
        """All processes that are subscribed to something, by pid."""
        rows: list[control.SubscriberRow] = await self._ask(control.ListSubscribers())
        page = rows
        while len(page) == control.ROWS_MAX:
            page = await self._ask(control.ListSubscribers(rows[-1].pid))
            if page and page[0].pid <= rows[-1].pid:
                raise Eio("the kernel lists the same subscribers again")
            rows += page
        return rows

    async def events(self, pattern: str, of: str = "", since: Any = "start") -> control.EventsPage:
        """What matches of a log, as much as one answer has room for; the rest begins at its `next`.

        Args:
            pattern: of topics.
            of: the name of a fleet, or a pid; "" where there is only one.
            since: a number, `start`, `last`, or `{"time_ns": N}`.

        Raises:
            Enoent: there is no such fleet or process.
            Einval: it is no pattern, or nothing to begin with; or it is not said whose.
        """
        page: control.EventsPage = await self._ask(control.ReadEvents(pattern, of, since))
        return page

    async def publish(self, topic: str, body: object, of: str = "") -> control.Published:
        """Publish an event; else as `events`."""
        published: control.Published = await self._ask(control.PublishEvent(topic, body, of))
        return published

    async def triggers(self) -> list[control.TriggerRow]:
        """All triggers, by fleet and name."""
        rows: list[control.TriggerRow] = await self._ask(control.ListTriggers())
        return rows

    async def switch_trigger(self, name: str, on: bool, fleet: str = "") -> control.TriggerRow:
        """Switch a trigger on or off. Raises Enoent; Einval where several fleets have one of that name."""
        row: control.TriggerRow = await self._ask(control.SwitchTrigger(name, on, fleet))
        return row

    @abstractmethod
    async def _ask(self, command: control.Command) -> Any: ...
