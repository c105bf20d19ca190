"""`topics`, `topics tail` and `publish`: what was published, who is subscribed, and publishing."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.control import EventRow, Published, SubscriberRow, TopicRow
from prytany.abi.errors import Eagain, Einval, Epipe
from prytany.abi.ids import Pid, format_pid
from prytany.cli.arguments import json_or_text
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import INTERRUPTED, advised
from prytany.cli.moments import moment_ns
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, note, safe, say
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

_NUMBER = re.compile(r"\d{1,15}", re.ASCII)
TOPICS = (Column("TOPIC", long=True), Column("WHOSE"), Column("LAST", True), Column("AGO", True),
          Column("EVENTS", True), Column("SUBSCRIBERS", True))  # fmt: skip
SUBSCRIBERS = (Column("PID", True), Column("NAME"), Column("LAG", True), Column("MISSED", True),
               Column("SUBSCRIBED TO", long=True))  # fmt: skip


def list_topics(home: Path, as_json: bool) -> None:
    """A line for each topic, then for each subscriber."""

    async def look(client: Client) -> tuple[list[TopicRow], list[SubscriberRow]]:
        return await client.topics(), await client.subscribers()

    topics, subscribers = with_client(home, look)
    if as_json:
        for topic in topics:
            print(json_line({"kind": "topic", **msgspec.structs.asdict(topic)}))
        for subscriber in subscribers:
            print(json_line({"kind": "subscriber", **msgspec.structs.asdict(subscriber)}))
        return
    if not (topics or subscribers):
        say("nothing was published, and nobody is subscribed to anything")
        return
    now_ns = SystemClock().now_ns()
    lines = [
        Line((t.topic, _whose(t.scope, t.fleet), str(t.number), duration(now_ns - t.time_ns), str(t.count),
              str(t.subscribers)))
        for t in topics
    ]  # fmt: skip
    if lines:
        print("\n".join(table(TOPICS, lines)))
    if lines and subscribers:
        print()
    if subscribers:
        found = [
            Line((format_pid(Pid(s.pid)), s.name, str(s.lag), str(s.missed), " ".join(s.patterns)),
                 "yellow" if s.lag or s.missed else "")
            for s in subscribers
        ]  # fmt: skip
        print("\n".join(table(SUBSCRIBERS, found)))
    if topics:
        say(f"see events with: {command('topics tail PATTERN', home)}")


def _whose(scope: str, fleet: str) -> str:
    kind, _, number = scope.partition(":")
    return fleet or (format_pid(Pid(int(number))) if kind == "run" else scope)


def tail_topics(home: Path, pattern: str, since: str, of: str, as_json: bool, *, follow: bool) -> int:
    """Print what matches, and what comes; the exit code. Raises Einval, Enoent."""
    begin = _since(since)

    async def show(client: Client) -> None:
        nonlocal begin
        if follow and not client.live:
            note(f"nothing runs here, so nothing comes; go on with: {command('resume', home)}", as_json)
        first = True
        while True:
            head = (await client.status()).head
            page = await client.events(pattern, of, begin)
            if page.gone and first and begin != "start":
                note(f"{page.gone} events since then are not in the log any more", as_json)
            for event in page.events:
                _show(event, as_json)
            sys.stdout.flush()
            begin, first = page.next, False
            if page.more:
                continue
            if not (follow and client.live):
                return
            await client.wait_entry(head)

    try:
        with_client(home, show)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Epipe, Eagain):
        if not follow:
            raise
        note("the kernel has stopped, so nothing more comes", as_json)
    return 0


def _since(text: str) -> Any:
    if text in ("start", "last"):
        return text
    if _NUMBER.fullmatch(text):
        if int(text) < 1:
            raise Einval("events are numbered from 1")
        return int(text)
    return {"time_ns": moment_ns(text, SystemClock().now_ns())}


def _show(event: EventRow, as_json: bool) -> None:
    if as_json:
        print(json_line(event))
        return
    when = datetime.fromtimestamp(event.time_ns / 1e9).strftime("%H:%M:%S.%f")[:-3]
    who = "operator" if event.sender < 0 else "kernel" if not event.sender else format_pid(Pid(event.sender))
    body = "(forgotten, by an operator's command)" if event.forgotten else safe(json_line(event.body))
    print(f"{event.number:>6} {when} {safe(event.topic)} from {who} {body}")


def publish_event(home: Path, topic: str, fields: Sequence[str], of: str, as_json: bool) -> None:
    """Publish, and say who gets it. Raises Einval, Enoent."""
    body: dict[str, Any] = {}
    for text in fields:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Einval(f"{text[:100]!a} is not KEY=VALUE")
        if name in body:
            raise Einval(f"{name[:100]!a} is given twice")
        body[name] = json_or_text(value, f"{name[:100]!a}")

    async def send(client: Client) -> Published:
        published = await client.publish(topic, body, of)
        say_recorded(client, as_json)
        return published

    try:
        published = with_client(home, send)
    except Einval as error:
        if "say whose" in error.message:
            raise advised(error, "name one with --of") from None
        raise
    if as_json:
        print(json_line(published))
    else:
        many = "1 subscriber" if published.subscribers == 1 else f"{published.subscribers} subscribers"
        print(f"event {published.number} of {safe(published.topic)} goes to {many}")
