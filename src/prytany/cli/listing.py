"""`ps`, `logs`: what the kernel and its journal say; they show nothing that is not durable."""

from __future__ import annotations

import sys
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.control import ProcessRow, Status
from prytany.abi.errors import Eio, Enoent, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.wire import UNREADABLE
from prytany.cli.attached import no_process, pid_of, with_client
from prytany.cli.failure import advised
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, note, safe, say
from prytany.cli.totals import total_line
from prytany.client import Client
from prytany.ports.store import Row
from prytany.system.logs import read_log


def list_processes(home: Path, as_json: bool) -> None:
    """A line a process."""

    async def look(client: Client) -> tuple[list[ProcessRow], Status]:
        return await client.ps(), await client.status()

    rows, status = with_client(home, look)
    if status.os_pid and not status.confined:
        note("workers are NOT confined (--unconfined)", as_json)
    if not as_json:
        print(f"{'PID':>6} {'PARENT':>6}  {'STATE':<11}{'CALLS':>7}{'TOKENS':>9}  NAME")
    for p in rows:
        if as_json:
            print(json_line(p))
        else:
            why = f"  ({safe(p.reason)})" if p.reason else ""
            line = f"{format_pid(Pid(p.pid)):>6} {p.parent:>6}  {p.state:<11}{p.calls:>7}{p.tokens:>9}"
            print(f"{line}  {safe(p.name)}{why}")
    for p in rows:
        if p.tree is not None and not as_json:
            print(f"run {format_pid(Pid(p.pid))}: {total_line(p.tree)}")
    if status.let_go and not as_json:
        say(f"{status.let_go} older runs have ended and are listed no more; trace and logs show them")


def entry_of(row: Row) -> ev.Entry:
    """What a row holds; raises Eio."""
    try:
        return ev.decode_entry(row.record)
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None


def show_log(home: Path, pid_text: str, as_json: bool = False) -> None:
    """What a process, or a file of tools (`tools.NAME`), printed, with control characters escaped, and what of it is
    not there any more."""
    reader = open_reader(home)  # a folder without a journal is no home
    kind, _, name = pid_text.partition(".")
    of_tools = kind == "tools" and name.isidentifier()
    pid = 0 if of_tools else pid_of(pid_text)
    log = read_log(home, pid or pid_text)
    if log is not None:
        text = log.printed.decode("utf-8", "replace")
        if as_json:
            of: dict[str, object] = {"tools": name} if of_tools else {"pid": pid}
            if log.dropped:
                print(json_line({**of, "dropped_bytes": log.dropped}))
            sys.stdout.writelines(f"{json_line({**of, 'line': line})}\n" for line in text.splitlines())
            return
        if log.dropped:
            print(f"[prytany: {log.dropped} bytes that it printed before this were dropped]")
        sys.stdout.write(safe(text, lines=True))
        return

    def names_it(event: ev.Event) -> bool:
        if isinstance(event, ev.ToolsGranted):
            return of_tools and Path(event.path).stem == name
        return isinstance(event, ev.ProcessSpawned) and event.pid == pid

    granted: set[str] = set()
    for row in reader.rows(1):
        for event in entry_of(row).events:
            if names_it(event):
                return  # it is known, and printed nothing
            if isinstance(event, ev.ToolsGranted):
                granted.add(Path(event.path).stem)
    if of_tools:
        there = ", ".join(f"tools.{stem}" for stem in sorted(granted)[:5]) or "none"
        raise advised(Enoent(f"no run here was granted a file of tools {name!r}"), f"those that were granted: {there}")
    raise no_process(Esrch(f"the journal knows no process {pid_text}"), home)
