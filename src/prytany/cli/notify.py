"""`notify`: the notices to people outside that were not delivered, and trying the ways to tell them."""

from __future__ import annotations

import os
from pathlib import Path

import uvloop

from prytany.abi.control import NoticeRow
from prytany.abi.errors import Enoent
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.text import json_line, safe, say
from prytany.cli.trusting import path_of, trusted
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.kernel.letters import trial
from prytany.ports.courier import Missed
from prytany.system.fleet.channels import Definition, courier_of, definitions, label_of
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import resolve
from prytany.system.fleet.trust import remember

SAID_CHARS = 200
FAILED = 1
ID_BYTES = 16


def list_notices(home: Path, as_json: bool) -> None:
    """A line for each that was not delivered."""
    rows = with_client(home, lambda client: client.notices())
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("no notice waits: each was delivered, or dropped")
        return
    now_ns = SystemClock().now_ns()
    channels = [safe(f"{row.fleet} notify[{row.at}] {row.channel}") for row in rows]
    width = max(map(len, channels))
    print(f"{'NOTICE':>6}  {'KIND':<9} {'COUNT':>5}  {'SINCE':>8}  {'CHANNEL':<{width}}  STATE")
    for row, channel in zip(rows, channels, strict=True):
        shown = str(row.notice) if row.notice else "-"
        since = duration(now_ns - row.opened_ns)
        print(f"{shown:>6}  {row.kind:<9} {row.count:>5}  {since:>8}  {channel:<{width}}  {safe(_state(row, now_ns))}")
    if any(row.state == "given up" for row in rows):
        say(f"try again with: {command('notify retry', home)}, or leave it with: {command('notify drop', home)}")


def _state(row: NoticeRow, now_ns: int) -> str:
    when = f" for {duration(row.next_ns - now_ns)}" if row.next_ns > now_ns else ""
    times = "once" if row.attempts == 1 else f"{row.attempts} times"
    tried = f", tried {times}: {row.cause}" if row.attempts else ""
    return f"{row.state}{when}{tried}"


def retry_notices(home: Path, as_json: bool, number: int) -> None:
    """Try one again, or all."""
    _see_to(home, as_json, number, "retried")


def drop_notices(home: Path, as_json: bool, number: int) -> None:
    """Leave one, or all that were given up."""
    _see_to(home, as_json, number, "dropped")


def _see_to(home: Path, as_json: bool, number: int, what: str) -> None:
    async def see(client: Client) -> int:
        try:
            count = await (client.retry_notices if what == "retried" else client.drop_notices)(number)
        except Enoent as error:
            raise advised(error, f"see what was not delivered with: {command('notify', home)}") from None
        if as_json:
            print(json_line({what: count, "live": client.live}))
        else:
            print(f"{what}: {count}")
        if count:
            say_recorded(client, as_json)
        return count

    with_client(home, see)


def test_channels(home: Path, as_json: bool, target: Path, *, trust: bool) -> int:
    """Send a test through each channel of a fleet file; the exit code."""
    path = path_of(target)
    fleet = resolve(load_fleet(path).fleet, path.absolute().parent, {})
    if not fleet.notify:
        raise advised(Enoent(f"the fleet {fleet.name} tells nobody"), f"say in {path}, under `notify`, who is told")
    digest = trusted(fleet, (), home, trust, as_json)
    if digest and home.is_dir():
        remember(home, digest)

    async def send() -> bool:
        said = [await _try(definition, fleet.name, home, as_json) for definition in definitions(fleet)]
        return all(said)

    return 0 if uvloop.run(send()) else FAILED


async def _try(definition: Definition, fleet: str, home: Path, as_json: bool) -> bool:
    label, courier, clock = label_of(definition.notice), courier_of(definition), SystemClock()
    began_ns = clock.now_ns()
    letter = trial(label, fleet, os.urandom(ID_BYTES).hex(), began_ns, str(home))
    cause = ""
    try:
        said = await courier.deliver(letter)
    except Missed as missed:
        cause, said = missed.cause, missed.said
    finally:
        await courier.close()
    words, took_ms = said.decode("utf-8", "replace"), (clock.now_ns() - began_ns) // 1_000_000
    if as_json:
        facts = {"channel": label, "id": letter.id, "delivered": not cause, "cause": cause, "said": words}
        print(json_line({**facts, "took_ms": took_ms}))
    else:
        told = " ".join(words.split())[:SAID_CHARS]
        print(safe(f"{label}: {f'NOT delivered: {cause}' if cause else 'delivered'} ({took_ms} ms)"))
        if told:
            print(safe(f"  it said: {told}"))
    return not cause
