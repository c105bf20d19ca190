"""`upgrade`: move a `Server` to another version of its program."""

from __future__ import annotations

from pathlib import Path

import msgspec

from prytany.abi.control import Upgrade
from prytany.abi.errors import Einval
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import pid_of, say_recorded, with_client
from prytany.cli.text import json_line, safe
from prytany.client import Client


def upgrade_process(home: Path, pid_text: str, target: str, as_json: bool) -> None:
    """Move it, at once or when it is done with the message in hand, and say which."""
    pid = pid_of(pid_text)
    program = _whole(target)

    async def upgrade(client: Client) -> Upgrade:
        moves = await client.upgrade(pid, program)
        say_recorded(client, as_json)
        return moves

    moves = with_client(home, upgrade)
    if as_json:
        print(json_line({"pid": pid, **msgspec.structs.asdict(moves)}))
        return
    when = "when it is done with the message in hand" if moves.pending else "from here on"
    print(f"process {format_pid(Pid(pid))} runs {safe(moves.program)} in version {moves.source} {when}")


def _whole(target: str) -> str:
    """The target with the whole path of its file: the kernel works in a folder of its own. Raises Einval."""
    if not target:
        return ""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise Einval(f"{target[:200]!r} is not FILE.py:CLASS")
    try:
        return f"{Path(place).absolute()}:{name}"
    except ValueError as error:
        raise Einval(f"{place[:200]!r} is no path: {error}") from None
