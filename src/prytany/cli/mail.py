"""`mail`: mailboxes, and the messages that could not be handled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from prytany.abi.control.mail import BoxRow, DeadRow, MailDone, MailFault
from prytany.abi.errors import Enoent, KernelError
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, safe, say
from prytany.client import Client

T = TypeVar("T")
BOXES = (
    Column("PID", right=True), Column("NAME", long=True), Column("AGENT", long=True), Column("WAITING", right=True),
    Column("IN HAND", right=True), Column("ROOM", right=True), Column("LINE", right=True), Column("OLDEST", right=True),
    Column("DEAD", right=True),
)  # fmt: skip
DEAD = (
    Column("NUMBER", right=True), Column("TYPE", long=True), Column("TO", right=True), Column("NAME", long=True),
    Column("FROM", right=True), Column("SINCE", right=True), Column("TRIED", right=True), Column("WHY", long=True),
)  # fmt: skip
FAILED = 1


def list_mailboxes(home: Path, as_json: bool) -> None:
    """A line for each that holds anything."""
    rows = with_client(home, lambda client: client.mailboxes())
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("all mailboxes are empty, and nothing is dead")
        return
    for line in table(BOXES, [Line(_box(row), "" if row.alive else "bright_black") for row in rows]):
        print(line)
    if any(row.dead for row in rows):
        say(f"see what could not be handled with: {command('mail dead', home)}")


def _box(row: BoxRow) -> list[str]:
    oldest = duration(row.now_ns - row.oldest_ns) if row.oldest_ns else "-"
    room = f"{row.waiting + row.in_hand} of {row.room}" if row.room else "-"
    return [
        format_pid(Pid(row.pid)), row.name, row.agent or "-", str(row.waiting), str(row.in_hand), room, str(row.line),
        oldest, str(row.dead),
    ]  # fmt: skip


def list_dead(home: Path, as_json: bool) -> None:
    """A line for each dead letter."""
    rows = with_client(home, lambda client: client.dead_letters())
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("no letter is dead")
        return
    for line in table(DEAD, [Line(_dead(row)) for row in rows]):
        print(line)
    say(f"see one with: {command('mail dead NUMBER', home)}; then {command('mail retry NUMBER', home)}, or drop")


def _dead(row: DeadRow) -> list[str]:
    return [
        str(row.number), row.type, format_pid(Pid(row.pid)), row.name, _sender(row.sender),
        duration(row.now_ns - row.dead_ns), str(row.attempts), _why(row),
    ]  # fmt: skip


def _sender(sender: int) -> str:
    return format_pid(Pid(sender)) if sender > 0 else f"uid {-1 - sender}"


def _why(row: DeadRow) -> str:
    last = f": {row.tries[-1].reason}" if row.tries else ""
    return {"attempts": "failed too often", "rejected": "refused", "ended": "its receiver ended"}.get(
        row.reason, row.reason
    ) + last


def show_dead(home: Path, as_json: bool, number: int) -> None:
    """One dead letter, with its content and its history."""
    letter = with_client(home, lambda client: _found(client.dead_letter(number), home))
    if as_json:
        print(json_line(letter))
        return
    row = letter.row
    said = {
        "message": f"{row.number} of type {row.type}",
        "from": _sender(row.sender),
        "to": f"process {format_pid(Pid(row.pid))} ({row.name}){'' if row.alive else ', which has ended'}",
        "sent": _moment(row.sent_ns),
        "dead": f"{_moment(row.dead_ns)}: {_why(row)}",
        "tried": f"{row.attempts} times",
    }
    for name, value in said.items():
        print(f"{name:<8} {safe(value)}")
    for at in row.tries:
        print(f"  {_moment(at.time_ns)}  incarnation {at.incarnation}  {safe(at.reason)}")
    print(f"{'body':<8} {'it was forgotten, by an operator' if letter.forgotten else json_line(letter.body)}")


def retry_dead(home: Path, as_json: bool, numbers: Sequence[int]) -> int:
    """Put these back, or all; the exit code."""
    return _see_to(home, as_json, numbers, "retried", lambda client: client.retry_mail)


def drop_dead(home: Path, as_json: bool, numbers: Sequence[int]) -> int:
    """Let go of these, or of all; the exit code."""
    return _see_to(home, as_json, numbers, "dropped", lambda client: client.drop_mail)


def _see_to(
    home: Path, as_json: bool, numbers: Sequence[int], what: str,
    of: Callable[[Client], Callable[[int], Awaitable[MailDone]]],
) -> int:  # fmt: skip
    async def see(client: Client) -> MailDone:
        if len(numbers) < 2:
            return await _found(of(client)(numbers[0] if numbers else 0), home)
        done = MailDone()
        for number in numbers:
            try:
                done.done += (await of(client)(number)).done
            except KernelError as error:
                done.failed.append(MailFault(number=number, errno=error.errno, text=error.message))
        return done

    async def seen(client: Client) -> MailDone:
        done = await see(client)
        if as_json:
            failed = [{"number": f.number, "errno": f.errno, "message": f.text} for f in done.failed]
            print(json_line({what: done.done, "failed": failed, "live": client.live}))
        else:
            print(f"{what}: {len(done.done)}")
            for fault in done.failed:
                say(f"message {fault.number} stays dead: {fault.text}")
        if done.done:
            say_recorded(client, as_json)
        return done

    return FAILED if with_client(home, seen).failed else 0


async def _found(asked: Awaitable[T], home: Path) -> T:
    try:
        return await asked
    except Enoent as error:
        raise advised(error, f"see what is dead with: {command('mail dead', home)}") from None


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9).astimezone().isoformat(sep=" ", timespec="seconds")
