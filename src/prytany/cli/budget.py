"""`budget`: what may be spent, what was, and adding to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prytany.abi.control import AccountRow
from prytany.abi.errors import Einval
from prytany.abi.ids import Pid, format_pid
from prytany.cli.amounts import amount_of, read_bounds, read_more, words_of
from prytany.cli.attached import command, duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.naming import named, pids_of
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, processes, safe, say
from prytany.client import Client

COLUMNS = (
    Column("ACCOUNT"), Column("OF"), Column("BOUND", right=True), Column("SPENT", right=True),
    Column("SET ASIDE", right=True), Column("LEFT", right=True), Column("A MINUTE", right=True),
    Column("NAME", long=True), Column("STATE", long=True),
)  # fmt: skip
ADDED = {
    "tokens": ("tokens=10000", 10_000), "usd_micros": ("usd=1", 1_000_000), "calls": ("calls=10", 10),
    "wall_ms": ("wall=1h", 3_600_000), "processor_ms": ("processor=1m", 60_000),
}  # fmt: skip
"""What is proposed to be added of each, and how much that is."""
WORDS = {"tokens": "tokens", "usd_micros": "money", "calls": "calls", "wall_ms": "time", "processor_ms": "processor"}


def show_budgets(home: Path, pid_text: str, as_json: bool, *, every: bool) -> None:
    """A line for each thing that an account bounds: of one process, the narrowest first, or of all that go on."""
    target = named(pid_text) if pid_text else None

    async def look(client: Client) -> list[AccountRow]:
        if target is None:
            return await client.budgets()
        (pid,) = await pids_of(client, [target])
        return await client.budgets(pid)

    rows = with_client(home, look)
    shown = rows if every or target is not None else [row for row in rows if row.alive]
    if as_json:
        for row in shown:
            print(json_line(row))
        return
    for line in table(COLUMNS, [line for row in shown for line in _lines(row)]):
        print(line)
    for row in shown:
        if row.stopped:
            pid = format_pid(Pid(row.stopped[0]))
            add = command(f"budget {pid} --add {_example(row)}", home)
            stand = "is" if len(row.stopped) == 1 else "are"
            say(f"{processes(len(row.stopped))} {stand} stopped for want of {row.account}; let go on with: {add}")
    if not shown:
        accounts = "1 account is" if len(rows) == 1 else f"{len(rows)} accounts are"
        ended = f"; {accounts} of what has ended, see: {command('budget --all', home)}" if rows else ""
        say(f"nothing is bounded{ended}")


def change_budget(
    home: Path, pid_text: str, of: str, more: Sequence[str], bounds: Sequence[str], as_json: bool
) -> None:
    """Add to an account, or bound it anew; what it stopped goes on. Raises Esrch, Enoent, Einval."""
    if not pid_text and of != "tenant":
        raise advised(
            Einval("whose budget is meant?"), "name a process, or --account tenant for all that runs in the home",
            f"see which there are with: {command('budget', home)}",
        )  # fmt: skip
    target = named(pid_text) if pid_text else None
    added = read_more(more) if more else None
    said = read_bounds(bounds, "--set")

    async def change(client: Client) -> tuple[AccountRow, int]:
        (pid,) = (0,) if target is None else await pids_of(client, [target])
        stopped = [one for row in await client.budgets() for one in row.stopped]
        if added is not None:
            row = await client.add_budget(pid, of, added)
        else:
            row = await client.grant_budget(pid, of, said.total, said.minute)
        still = {one for row in await client.budgets() for one in row.stopped}
        say_recorded(client, as_json)
        return row, sum(1 for one in stopped if one not in still)

    row, go_on = with_client(home, change)
    if as_json:
        print(json_line(row))
        return
    print(safe(f"{row.account} may take {words_of(row.total, row.minute)}"))
    if go_on:
        print(f"{processes(go_on)} that stood still for want of it {'goes' if go_on == 1 else 'go'} on")


def _lines(row: AccountRow) -> list[Line]:
    """One for each thing that is bounded, and one where nothing is."""
    state = _state(row)
    colour = "yellow" if row.stopped else ""
    kinds = list(dict.fromkeys((*row.total, *row.minute)))
    if not kinds:
        spent = amount_of("tokens", row.spent["tokens"])
        return [Line([row.account, "-", "none", spent, "", "", "", row.name, state], colour)]
    lines: list[Line] = []
    for kind in kinds:
        first = kind == kinds[0]
        cells = [
            row.account if first else "", WORDS.get(kind, kind), _cell(row.total, kind), _cell(row.spent, kind),
            _cell(row.reserved, kind), _left(row, kind), _minute(row, kind), row.name if first else "",
            state if first else "",
        ]  # fmt: skip
        lines.append(Line(cells, colour))
    return lines


def _cell(amounts: dict[str, int], kind: str) -> str:
    return amount_of(kind, amounts[kind]) if kind in amounts else "-"


def _left(row: AccountRow, kind: str) -> str:
    if owed := row.debt.get(kind):
        return f"owes {amount_of(kind, owed)}"
    return _cell(row.left, kind)


def _minute(row: AccountRow, kind: str) -> str:
    if kind not in row.minute:
        return "-"
    return f"{amount_of(kind, row.minute_used.get(kind, 0))} of {amount_of(kind, row.minute[kind])}"


def _state(row: AccountRow) -> str:
    parts: list[str] = []
    if row.ends_ns and row.alive:
        left = row.ends_ns - row.now_ns
        parts.append(f"until {duration(left)} from now" if left > 0 else "its time is up")
    if row.waiting:
        parts.append("1 call waits" if row.waiting == 1 else f"{row.waiting} calls wait")
    if row.stopped:
        parts.append(f"{processes(len(row.stopped))} stopped")
    return ", ".join(parts)


def _example(row: AccountRow) -> str:
    """What lets go on whom it stopped: enough to pay what is owed, and something to go on with."""
    if row.ends_ns and row.ends_ns <= row.now_ns:
        return "wall=1h"
    if not row.debt:
        kind = min(row.left, key=lambda kind: row.left[kind] / max(1, row.total[kind]), default="tokens")
        return ADDED.get(kind, ADDED["tokens"])[0]
    parts: list[str] = []
    for kind, owed in row.debt.items():
        more, step = ADDED.get(kind, ADDED["tokens"])
        name, _, _ = more.partition("=")
        whole = -(-owed // step) + 1
        parts.append(f"{name}={whole if kind == 'usd_micros' else whole * step}")
    return ",".join(parts)
