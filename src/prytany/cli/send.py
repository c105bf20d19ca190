"""`send`: put a message into the mailbox of a process."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.ids import Pid, format_pid
from prytany.cli.arguments import json_or_text
from prytany.cli.attached import pid_of, say_recorded, with_client
from prytany.cli.incidents import given_value
from prytany.cli.text import json_line, safe
from prytany.client import Client


def send_message(home: Path, pid_text: str, kind: str, body: str | None, as_text: bool, as_json: bool) -> None:
    """Send it, and print its number. A body that was not given comes from standard input."""
    pid = pid_of(pid_text)
    written = str(given_value(body, False))
    value = written if as_text else json_or_text(written, "the body")

    async def send(client: Client) -> int:
        number = await client.send(pid, kind, value)
        say_recorded(client, as_json)
        return number

    number = with_client(home, send)
    if as_json:
        print(json_line({"message": number, "receiver": pid, "type": kind}))
    else:
        print(f"message {number} of type {safe(kind)} is in the mailbox of process {format_pid(Pid(pid))}")
