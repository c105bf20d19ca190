"""`journal forget`: destroy the content of an ended process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from prytany.abi.control import Forgotten
from prytany.cli.attached import pid_of, with_client
from prytany.cli.text import json_line
from prytany.client import Client
from prytany.system.logs import Logs


def forget_process(home: Path, pid_text: str, as_json: bool) -> None:
    """Forget it, and say what is left elsewhere."""
    pid = pid_of(pid_text)

    async def forget(client: Client) -> Forgotten:
        return await client.forget(pid)

    gone = with_client(home, forget)
    log = Logs(home).forget(pid)
    if as_json:
        print(json_line({"pid": pid, **msgspec.structs.asdict(gone), "log": log}))
        return
    printed = ", and what it printed" if log else ""
    print(f"{gone.contents} pieces of content of process {pid_text} are destroyed ({gone.freed_bytes} bytes){printed}")
    if gone.kept:
        print(f"{gone.kept} are kept: others name them as well")
    print("what it handed to others is theirs; backups and a provider's logs are out of reach")
