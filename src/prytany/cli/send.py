"""`send`: put a message into the mailbox of a process, of a session, or of an agent by its name."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import Said
from prytany.abi.errors import Eagain, Einval, Enoent, Eperm, KernelError, error_of
from prytany.abi.ids import Pid, format_pid, parse_pid
from prytany.cli.arguments import json_or_text
from prytany.cli.attached import command, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.incidents import given_value
from prytany.cli.text import json_line, safe
from prytany.client import Client

SHOWN = 20
"""Of the processes that could be meant."""


def send_message(
    home: Path, receiver: str, kind: str, body: str | None, as_text: bool, as_json: bool, *, wait: bool = False
) -> None:
    """Send it, and print its number, or the reply to it. A body that was not given comes from standard input.

    Args:
        home: where the receiver is.
        receiver: a pid, a session, or the name of an agent of which one process is there.
        kind: the message's type.
        body: JSON, or else text.
        as_text: it is text, whatever it looks like.
        as_json: tell it as JSON.
        wait: until it is answered.
    """
    pid = _pid(receiver)
    written = str(given_value(body, False))
    value = written if as_text else json_or_text(written, "the body")

    async def send(client: Client) -> tuple[int, int, Said | None]:
        to = pid or await _of_agent(client, receiver)
        if isinstance(value, str) and kind == "say" and (await client.inspect(to)).session == to:
            return await _sent(client, to, {"text": value})
        return await _sent(client, to, value)

    async def _sent(client: Client, to: int, value: object) -> tuple[int, int, Said | None]:
        after = (await client.status()).head
        if wait and not client.live:
            raise advised(Eagain("nothing runs in this home, so nobody answers"), "send it without --wait")
        try:
            number = await client.send(to, kind, value)
        except Eperm as error:
            raise advised(error, f"see what it takes with: {command(f'inspect {format_pid(Pid(to))}', home)}") from None
        say_recorded(client, as_json)
        return to, number, await _reply(client, to, number, after) if wait else None

    to, number, reply = with_client(home, send)
    if reply is not None:
        _show(reply, as_json)
    elif as_json:
        print(json_line({"message": number, "receiver": to, "type": kind}))
    else:
        print(f"message {number} of type {safe(kind)} is in the mailbox of process {format_pid(Pid(to))}")


def _pid(receiver: str) -> int:
    """The pid that was written; 0 for a name. Raises Einval."""
    try:
        return parse_pid(receiver)
    except ValueError:
        if receiver.strip() and not receiver[0].isdigit() and receiver[0] not in "-.":
            return 0
    raise advised(
        Einval(f"neither a pid nor an agent: {receiver[:100]!r}"), "a pid is a number as prytany ps shows it, such as 3"
    )


async def _of_agent(client: Client, name: str) -> int:
    """The only process of that agent, `AGENT` or `FLEET.AGENT`, that lives. Raises Enoent, Einval."""
    rows = [p for p in await client.ps() if p.agent and p.state != "terminated"]
    found = [p.pid for p in rows if p.pid == p.run and name in (p.agent, f"{p.fleet}.{p.agent}")]
    home = client.home
    if len(found) == 1:
        return found[0]
    if not found:
        there = ", ".join(sorted({p.agent for p in rows})[:SHOWN]) or "none"
        raise advised(
            Enoent(f"no process of an agent {name[:100]!r} runs"),
            f"there are {there}; begin a session with: {command('chat', home)}",
        )
    pids = ", ".join(format_pid(Pid(pid)) for pid in found[:SHOWN])
    raise advised(Einval(f"{len(found)} processes are of the agent {name[:100]!r}"), f"name one of {pids}")


async def _reply(client: Client, pid: int, number: int, after: int) -> Said:
    """What becomes of a message: its reply, that it is done, or that its receiver has ended."""
    while True:
        heard = await client.hear(pid, after)
        for said in heard.said:
            if said.kind == "ended" or (said.number == number and said.kind in ("reply", "done")):
                return said
        after = heard.last


def _show(said: Said, as_json: bool) -> None:
    if as_json:
        print(json_line(said))
    error = _failure(said)
    if error is not None:
        raise error
    if not as_json:
        value = said.value
        if isinstance(value, dict) and "answer" in value:
            value = value["answer"]  # pyright: ignore[reportUnknownVariableType]
        if value is not None:
            print(safe(value, lines=True) if isinstance(value, str) else json_line(value))  # pyright: ignore[reportUnknownArgumentType]


def _failure(said: Said) -> KernelError | None:
    return error_of(said.errno, str(said.value[0])) if said.errno else None
