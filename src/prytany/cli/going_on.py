"""How a home in which no kernel runs is gone on with, as far as that is so."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import Status
from prytany.cli.attached import command
from prytany.cli.text import note
from prytany.client import Client

ENDED = "terminated"


def go_on(status: Status, home: Path) -> str:
    """What there is to go on with, and by which command."""
    if any(fleet.stays for fleet in status.fleets):
        names = ", ".join(fleet.name for fleet in status.fleets if fleet.stays)
        return f"in the folder of {names}, go on with: {command('up', home)}"
    if status.processes == status.states.get(ENDED, 0):
        return "every run has ended"
    return f"go on with: {command('resume', home)}"


async def tell_nothing_runs(client: Client, as_json: bool) -> None:
    """Say that no kernel runs, and what there is to go on with. Raises KernelError where the home cannot be read."""
    note(f"nothing runs here; {go_on(await client.status(), client.home)}", as_json)
