"""`send`: put a message into the mailbox of a process, of a session, or of an agent by its name."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import Said
from prytany.abi.errors import Eagain, Eio, Eperm, KernelError, error_of
from prytany.abi.ids import Pid, format_pid
from prytany.cli.arguments import json_or_text
from prytany.cli.attached import command, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.incidents import given_value
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line, safe
from prytany.client import Client


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
    target = named(receiver)
    written = str(given_value(body, False))
    value = written if as_text else json_or_text(written, "the body")

    async def send(client: Client) -> tuple[int, int, Said | None]:
        (to,) = await pids_of(client, [target])
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
    if said.forgotten:
        return Eio("the reply was forgotten, by an operator's command")
    return error_of(said.errno, str(said.value[0])) if said.errno else None
