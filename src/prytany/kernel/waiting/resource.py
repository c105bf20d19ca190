"""A tool call that waits for a resource which other calls have."""

from __future__ import annotations

from prytany.kernel.waiting.edge import Cause, Look, named
from prytany.process.process import OpenCall, Process
from prytany.scheduling.turns import parse_key


def resource(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Who has what it needs, and how many wait before it."""
    turns = look.state.turns
    tool = turns.get(p.pid, n)
    if call.call not in ("tool_call", "tool_hold") or tool is None or tool.started:
        return None
    own, holders, before = f"{p.pid}:{n}", dict[str, None](), 0
    for name in tool.resources:
        line = list(turns.queues.get(name, ()))
        if line and line[0] != own:
            holders[line[0]] = None
            before = max(before, line.index(own))
    if not holders:
        return Cause("resource", f"the tool {tool.tool}, whose turn it is")
    having: list[str] = []
    pids: list[int] = []
    for key in holders:
        pid, number = parse_key(key)
        held, hold = turns.get(pid, number), turns.holds.get(pid, {}).get(number)
        how = f", call {number}" if hold is None else f", which holds it for calls of {hold.tool},"
        having.append(f"{named(look, pid)}{how}" + (f" of {held.tool}" if held is not None else ""))
        pids += [pid] * (pid != p.pid)
    line_text = f"; {before - 1} others wait before it" if before > 1 else ""
    text = f"a resource that {tool.tool} needs, and {' and '.join(having)} has{line_text}"
    return Cause("resource", text, leads=tuple(pids))
