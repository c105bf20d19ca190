"""`journal forget`: destroy the content of an ended process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from prytany.abi.errors import Enoent, Esrch
from prytany.cli.attached import no_home, no_process, pid_of
from prytany.cli.text import json_line
from prytany.kernel.forgetting import Forgotten
from prytany.system.logs import Logs
from prytany.system.offline import forget_in_home


def forget_process(home: Path, pid_text: str, as_json: bool) -> None:
    """Forget it, and say what is left elsewhere."""
    pid = pid_of(pid_text)
    try:
        gone: Forgotten = asyncio.run(forget_in_home(home, pid, os.getuid()))
    except Enoent as error:
        raise no_home(error) from None
    except Esrch as error:
        raise no_process(error, home) from None
    log = Logs(home).forget(pid)
    if as_json:
        print(json_line({"pid": pid, **gone._asdict(), "log": log}))
        return
    printed = ", and what it printed" if log else ""
    print(f"{gone.contents} pieces of content of process {pid_text} are destroyed ({gone.freed_bytes} bytes){printed}")
    if gone.kept:
        print(f"{gone.kept} are kept: processes that have not ended name them as well")
    print("what it handed to others is theirs; backups and a provider's logs are out of reach")
