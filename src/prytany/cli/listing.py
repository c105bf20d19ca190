"""`ps` and `tree`: the processes, as the kernel or its journal says; they show nothing that is not durable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from prytany.abi.control import ProcessRow, Status
from prytany.abi.errors import Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.names import check_tags
from prytany.cli.attached import command, duration, no_process, pid_of, with_client
from prytany.cli.table import COLOURS, Column, Line, table, terminal_cells
from prytany.cli.text import json_line, note, safe, say
from prytany.cli.totals import money, total_line
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

ENDED = "terminated"
ENDED_SHOWN = 40
"""Of the processes that have ended, how many a person is shown unasked: the newest."""
PS = (
    Column("PID", right=True), Column("PARENT", right=True), Column("STATE", long=True), Column("TOKENS", right=True),
    Column("COST", right=True), Column("CPU", right=True), Column("AGE", right=True), Column("RESTARTS", right=True),
    Column("AGENT", long=True), Column("NAME", long=True),
)  # fmt: skip
WIDE = (
    *PS[:-2], Column("CLASS"), Column("WEIGHT", right=True), Column("DEADLINE", right=True),
    Column("QUEUED", right=True), Column("MODEL", long=True), *PS[-2:],
)  # fmt: skip
"""With `--wide`: what it is scheduled by, and how long its calls waited for their turns at models."""
FITTING = (*PS[:-2], Column("CLASS"), Column("QUEUED", right=True), *PS[-2:])
FITS_CELLS = 132
"""From that width of a terminal on, class and time in queues are there unasked."""
TREE = (
    Column("PROCESS", long=True), Column("STATE", long=True), Column("RESTARTS", long=True),
    Column("TOKENS", right=True), Column("COST", right=True),
    Column("AGE", right=True),
)  # fmt: skip


def list_processes(
    home: Path, as_json: bool, *, run: str = "", state: str = "", tag: str = "", every: bool = False,
    wide: bool = False,
) -> None:  # fmt: skip
    """A line a process: those of one run, in one state, or with a tag where that is asked; of the ended the newest."""
    root = pid_of(run) if run else 0
    check_tags([tag] if tag else [])
    rows, status = _look(home, as_json)
    if root and not any(p.run == root for p in rows):
        raise no_process(Esrch(f"there is no run {run}"), home)
    rows = [
        p for p in rows
        if (not root or p.run == root) and (not state or p.state == state) and (not tag or tag in p.tags)
    ]  # fmt: skip
    if as_json:
        for p in rows:
            print(json_line(p))
        return
    shown = rows if every or state else _without_old(rows)
    now_ns = SystemClock().now_ns()
    columns = WIDE if wide else FITTING if terminal_cells() >= FITS_CELLS else PS
    for line in table(columns, [Line(_cells(p, now_ns, columns), _colour(p)) for p in shown]):
        print(line)
    for p in shown:
        if p.tree is not None:
            print(f"run {format_pid(Pid(p.pid))}: {total_line(p.tree)}")
    if len(shown) < len(rows):
        say(f"{len(rows) - len(shown)} older ones have ended; see them with: {command('ps --all', home)}")
    if status.let_go:
        say(f"{status.let_go} older runs have ended and are listed no more; trace and logs show them")


def _look(home: Path, as_json: bool) -> tuple[list[ProcessRow], Status]:
    async def look(client: Client) -> tuple[list[ProcessRow], Status]:
        return await client.ps(), await client.status()

    rows, status = with_client(home, look)
    if status.os_pid and not status.confined:
        note("workers are NOT confined (--unconfined)", as_json)
    return rows, status


def _without_old(rows: Sequence[ProcessRow]) -> list[ProcessRow]:
    ended = sorted((p.ended_ns, p.pid) for p in rows if p.state == ENDED)
    old = {pid for _, pid in ended[:-ENDED_SHOWN]}
    return [p for p in rows if p.pid not in old]


def _cells(p: ProcessRow, now_ns: int, columns: Sequence[Column]) -> list[str]:
    fails = f"{p.failures} of {p.restarts}" if p.restarts else f"{p.failures} {p.restart}" if p.restart else "-"
    agent = f"{p.fleet}.{p.agent}" if p.agent else p.fleet
    left_ns = p.deadline_ns - now_ns
    deadline = "-" if not p.deadline_ns else duration(left_ns) if left_ns > 0 else "passed"
    scheduled = {
        "CLASS": p.qos, "WEIGHT": str(p.weight), "DEADLINE": deadline, "QUEUED": duration(p.queued_us * 1000),
        "MODEL": p.model,
    }  # fmt: skip
    between = [scheduled[column.title] for column in columns if column.title in scheduled]
    tokens, cost, age = _took(p, now_ns)
    cpu = f"{p.cpu_us / 1e6:.1f}s"
    return [format_pid(Pid(p.pid)), str(p.parent), _state(p), tokens, cost, cpu, age, fails, *between, agent, p.name]


def _took(p: ProcessRow, now_ns: int) -> tuple[str, str, str]:
    return str(p.tokens), money(p.cost_usd_micros), duration((p.ended_ns or now_ns) - p.spawned_ns)


def _begins(p: ProcessRow) -> str:
    """How it supervises, and how it is begun again itself."""
    said = [f"{p.restart} {p.failures}"] if p.restart else [f"{p.failures} of {p.restarts}"] if p.restarts else []
    if p.pool:
        least, most = p.pool
        said.append(f"pool: {p.children} of {least} to {most}, {p.mailbox.waiting} wait")
    if p.strategy:
        said.append(f"{p.strategy} {p.tree_restarts} ({p.intensity} in {duration(p.period_ms * 1_000_000)})")
    return ", ".join(said) or "-"


def _state(p: ProcessRow) -> str:
    return f"{p.state} ({p.reason})" if p.reason else p.state


def _colour(p: ProcessRow) -> str:
    return COLOURS["failed" if p.incidents or p.status else p.state]


def show_tree(home: Path, pid_text: str, as_json: bool) -> None:
    """The processes under their parents; those of one alone, where a pid is given. Raises Esrch."""
    top = pid_of(pid_text) if pid_text else 0
    rows, _ = _look(home, as_json)
    if top and not any(p.pid == top for p in rows):
        raise no_process(Esrch(f"there is no process {pid_text}"), home)
    found = list(_descend(rows, top))
    if as_json:
        for depth, _, p in found:
            print(json_line({"depth": depth, **msgspec.structs.asdict(p)}))
        return
    now_ns = SystemClock().now_ns()
    lines = [
        Line([f"{branch}{format_pid(Pid(p.pid))} {safe(p.name)}", _state(p), _begins(p), *_took(p, now_ns)], _colour(p))
        for _, branch, p in found
    ]
    for line in table(TREE, lines):
        print(line)


def _descend(rows: Sequence[ProcessRow], top: int) -> Iterator[tuple[int, str, ProcessRow]]:
    """Each with how deep it is and the branches in front of it, parents before children; whose parent is gone begins a
    tree of its own."""
    there = {p.pid for p in rows}
    children: dict[int, list[ProcessRow]] = {}
    for p in rows:
        children.setdefault(p.parent if p.parent in there else 0, []).append(p)
    begins = [p for p in rows if p.pid == top] if top else children.get(0, [])
    left = [(0, "", "", p) for p in reversed(begins)]
    while left:
        depth, before, mark, p = left.pop()
        yield depth, before + mark, p
        below = children.pop(p.pid, [])  # once, whatever a home says
        inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[mark]
        last = len(below) - 1
        left += [(depth + 1, inner, "├─ " if n < last else "└─ ", c) for n, c in reversed(list(enumerate(below)))]
