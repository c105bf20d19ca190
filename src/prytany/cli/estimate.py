"""`cost --estimate`: what a run will take, by what earlier ones took."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import ProcessRow
from prytany.abi.errors import Enoent
from prytany.cli.attached import command, with_client
from prytany.cli.failure import advised
from prytany.cli.may_spend import words_of_estimate
from prytany.cli.text import json_line, safe
from prytany.cli.trusting import path_of
from prytany.client import Client
from prytany.system.estimating import Estimate, of_rows
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.target import is_fleet
from prytany.system.programs import find_program


def show_estimate(home: Path, target: str, as_json: bool) -> None:
    """A line for the program, or for each agent of the fleet that was run before. Raises Enoent where none was."""
    if is_fleet(target):
        fleet = load_fleet(path_of(Path(target))).fleet
        wanted = [("", fleet.name, agent) for agent in fleet.agents]
    else:
        wanted = [(find_program(target, "").program, "", "")]

    async def look(client: Client) -> list[ProcessRow]:
        return await client.ps()

    rows = with_client(home, look)
    found: list[tuple[str, Estimate]] = []
    for program, name, agent in wanted:
        if (known := of_rows(rows, program, name, agent)) is not None:
            found.append((f"{name}.{agent}" if name else program, known))
    if not found:
        raise advised(
            Enoent(f"no run of {target[:200]} that asked a model has ended and is kept in this home"),
            f"run it once, with a bound: {command('run TARGET --budget tokens=100000,usd=1', home)}",
        )
    for what, known in found:
        print(
            json_line({"target": what, "estimate": known}) if as_json else safe(f"{what}: {words_of_estimate(known)}")
        )
