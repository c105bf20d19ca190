"""`ps`, `trace`, `logs`: what the kernel and its journal say; they show nothing that is not durable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.control import ProcessRow, Status
from prytany.abi.errors import Eio, Enoent, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.abi.wire import UNREADABLE
from prytany.cli.attached import no_process, pid_of, with_client
from prytany.cli.reader import open_reader
from prytany.cli.text import json_line, note, safe
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


def trace_process(home: Path, pid_text: str, as_json: bool) -> None:
    """A line a call, and a line an answer."""
    pid = pid_of(pid_text)
    known = False
    for row in open_reader(home).rows(1):
        entry = _entry(row)
        for event in entry.events:
            if getattr(event, "pid", None) != pid:
                continue
            known = True
            kind = str(event.__struct_config__.tag).partition("/")[0]
            facts = _facts(event)
            if as_json:
                print(json.dumps({"seq": row.seq, "time_ns": entry.time_ns, "event": kind, **facts}))
            else:
                print(f"{row.seq:>7}  {kind:<18}" + "  ".join(f"{k}={safe(str(v))}" for k, v in facts.items()))
    if not known:
        raise no_process(Esrch(f"the journal knows no process {pid_text}"), home)


def _entry(row: Row) -> ev.Entry:
    try:
        return ev.decode_entry(row.record)
    except UNREADABLE as error:
        raise Eio(f"entry {row.seq} of the journal cannot be read by this version: {error}") from None


def _facts(event: ev.Event) -> dict[str, object]:
    """What is worth a look; digests in hexadecimal, those of content left out."""
    names = ("n", "call", "context", "origin", "node", "errno", "status", "signal", "reason", "model", "took_us")
    steered = ("tool", "effect", "kind", "command", "choice", "uid")
    found = {name: value for name in (*names, *steered) if (value := getattr(event, name, None)) not in (None, "", b"")}
    if found.get("uid") == -1:
        del found["uid"]  # nobody's
    facts: dict[str, object] = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()
    }
    source, nodes = getattr(event, "source", None), getattr(event, "nodes", ())
    if isinstance(source, ev.Source):
        facts["from"] = ":".join(filter(None, (source.kind, source.name)))
    if nodes:
        facts["nodes"] = " ".join(f"{node.role}={node.node.hex()}" for node in nodes)
    return facts


def show_log(home: Path, pid_text: str, as_json: bool = False) -> None:
    """What a process, or a file of tools (`tools.NAME`), printed, with control characters escaped."""
    reader = open_reader(home)  # a folder without a journal is no home
    kind, _, name = pid_text.partition(".")
    of_tools = kind == "tools" and name.isidentifier()
    pid = 0 if of_tools else pid_of(pid_text)
    printed = read_log(home, pid or pid_text)
    if printed is not None:
        text = printed.decode("utf-8", "replace")
        if as_json:
            of: dict[str, object] = {"tools": name} if of_tools else {"pid": pid}
            sys.stdout.writelines(f"{json_line({**of, 'line': line})}\n" for line in text.splitlines())
        else:
            sys.stdout.write(safe(text, lines=True))
        return

    def names_it(event: ev.Event) -> bool:
        if isinstance(event, ev.ToolsGranted):
            return of_tools and Path(event.path).stem == name
        return isinstance(event, ev.ProcessSpawned) and event.pid == pid

    if any(names_it(event) for row in reader.rows(1) for event in _entry(row).events):
        return  # it is known, and printed nothing
    if of_tools:
        raise Enoent(f"no run here was granted a file of tools {name!r}")
    raise no_process(Esrch(f"the journal knows no process {pid_text}"), home)
