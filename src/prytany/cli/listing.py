"""`ps`, `trace`, `logs`: what the journal says, folded afresh; they show nothing that is not durable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prytany.abi import events as ev
from prytany.abi.errors import Einval, Esrch
from prytany.abi.ids import Pid, format_pid, parse_pid
from prytany.cli.journal import open_reader
from prytany.cli.text import safe
from prytany.kernel.state import fold
from prytany.system.logs import Logs


def _pid(text: str) -> Pid:
    try:
        return parse_pid(text)
    except ValueError as error:
        raise Einval(str(error)) from None


def list_processes(home: Path, as_json: bool) -> None:
    """A line a process."""
    state, _ = fold(open_reader(home))
    if not as_json:
        print(f"{'PID':>6} {'PARENT':>6}  {'STATE':<11}{'CALLS':>7}{'TOKENS':>9}  NAME")
    for p in state.table.processes.values():
        shown, reason = p.shown_state()
        tokens = p.usage.prompt_tokens + p.usage.completion_tokens
        if as_json:
            row = {
                "pid": p.pid, "parent": p.parent, "run": p.run, "name": p.name, "state": shown, "reason": reason,
                "status": p.status, "pledge": p.pledge, "calls": p.usage.calls, "denials": p.usage.denials,
                "tokens": tokens, "cost_usd_micros": p.usage.cost_usd_micros,
            }  # fmt: skip
            print(json.dumps(row))
        else:
            why = f"  ({safe(reason)})" if reason else ""
            line = f"{format_pid(Pid(p.pid)):>6} {p.parent:>6}  {shown:<11}{p.usage.calls:>7}{tokens:>9}"
            print(f"{line}  {safe(p.name)}{why}")


def trace_process(home: Path, pid_text: str, as_json: bool) -> None:
    """A line a call, and a line an answer."""
    pid = _pid(pid_text)
    known = False
    for row in open_reader(home).rows(1):
        entry = ev.decode_entry(row.record)
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
        raise Esrch(f"the journal knows no process {pid_text}")


def _facts(event: ev.Event) -> dict[str, object]:
    """What is worth a look; digests in hexadecimal, those of content left out."""
    names = ("n", "call", "context", "origin", "node", "errno", "status", "signal", "reason", "model", "took_us")
    found = {name: value for name in names if (value := getattr(event, name, None)) not in (None, "", b"")}
    facts: dict[str, object] = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()
    }
    source, nodes = getattr(event, "source", None), getattr(event, "nodes", ())
    if isinstance(source, ev.Source):
        facts["from"] = ":".join(filter(None, (source.kind, source.name)))
    if nodes:
        facts["nodes"] = " ".join(f"{node.role}={node.node.hex()}" for node in nodes)
    return facts


def show_log(home: Path, pid_text: str) -> None:
    """What the process printed, with control characters escaped."""
    path = Logs(home).path(_pid(pid_text))
    if path.exists():
        sys.stdout.write(safe(path.read_bytes().decode("utf-8", "replace"), lines=True))
