"""Calling the operator's tools. What a call's effect is worth, and what it must have to itself, is decided here and
recorded; when it begins is admission's."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval
from prytany.abi.schema import mismatch
from prytany.kernel.handlers.deadline import deadline_ns
from prytany.kernel.outcome import Context, Denied, Done, Opened
from prytany.ports.tool import ToolManifest
from prytany.process.process import Process


def sys_tool_list(k: Context, p: Process, n: int, a: Any) -> Done:
    """What was granted to the run, as a model is told of it; the effect too, so that a program can choose."""
    return Done(
        [
            {"name": m.name, "description": m.description, "parameters": m.parameters, "effect": m.effect}
            for m in k.tools.of(p)
        ]
    )


def sys_tool_call(k: Context, p: Process, n: int, a: Any) -> Opened:
    """The effect begins with this entry, or when its agent's rate allows it and what it needs is free: in
    order, and all of it at once."""
    tool = k.tools.find(p, a.name)
    if tool is None:
        raise Denied
    manifest = tool.manifest
    wrong = mismatch(manifest.parameters, a.arguments)
    if wrong:
        raise Einval(f"{manifest.name}: {wrong}", call="tool_call", detail={"tool": manifest.name})
    resources = [k.digest(resource.encode()) for resource in resources_of(manifest, a.arguments)]
    queues, _ = k.turns.ways(p.pid, resources)
    if k.turns.longest(queues) >= limits.TOOL_QUEUE_MAX:
        raise Eagain(f"{limits.TOOL_QUEUE_MAX} calls hold or wait for a resource of {manifest.name}", call="tool_call")
    if manifest.effect not in ("pure", "keyed"):
        _check_abandoned(k, p)
    called = ev.ToolCalled(p.pid, n, manifest.name, manifest.effect, resources, tool.digest)
    if waits := k.paced.ask(p, n, a.arguments, brings=True):
        return Opened(after=(called, *waits))
    if not k.turns.free(queues):
        return Opened(after=(called,))
    return Opened(after=(called, ev.ToolStarted(p.pid, n)))


def sys_tool_hold(k: Context, p: Process, n: int, a: Any) -> Done | Opened:
    """What a call with these arguments would have to itself is the process's, until it lets go of it."""
    tool = k.tools.find(p, a.name)
    if tool is None:
        raise Denied
    manifest = tool.manifest
    if not manifest.resources:
        raise Einval(f"{manifest.name} needs nothing to itself", call="tool_hold")
    wrong = mismatch(_of_resources(manifest), a.arguments)
    if wrong:
        raise Einval(f"{manifest.name}: {wrong}", call="tool_hold", detail={"tool": manifest.name})
    until_ns = deadline_ns(k, a.timeout_ms, "tool_hold")
    resources = [k.digest(resource.encode()) for resource in resources_of(manifest, a.arguments)]
    queues, _ = k.turns.ways(p.pid, resources)
    if k.turns.longest(queues) >= limits.TOOL_QUEUE_MAX:
        raise Eagain(f"{limits.TOOL_QUEUE_MAX} calls hold or wait for a resource of {manifest.name}", call="tool_hold")
    if len(k.turns.holds.get(p.pid, ())) >= limits.TOOL_HOLDS_MAX:
        raise Eagain(f"{limits.TOOL_HOLDS_MAX} holds are the most that a process has", call="tool_hold")
    if not k.turns.free(queues):
        return Opened(until_ns, (ev.ToolHoldAsked(p.pid, n, manifest.name, resources),))
    return Done(n, after=(ev.ToolHeld(p.pid, n, manifest.name, resources),))


def sys_tool_release(k: Context, p: Process, n: int, a: Any) -> Done:
    """Whoever is next is admitted behind this entry, or behind the end of what is under way."""
    events = returned_holds(k, p, a.hold)
    return Done(bool(events), after=events)


def returned_holds(k: Context, p: Process, n: int) -> tuple[ev.Event, ...]:
    """What lets go of what call `n` holds, if it holds anything."""
    hold = k.turns.holds.get(p.pid, {}).get(n)
    return () if hold is None or hold.left else (ev.ToolLetGo(p.pid, n),)


def _of_resources(manifest: ToolManifest) -> dict[str, Any]:
    """The schema of those parameters that say what it needs."""
    properties: dict[str, Any] = manifest.parameters.get("properties", {})
    named = {name for name in properties if any(f"{{{name}}}" in resource for resource in manifest.resources)}
    return {
        **manifest.parameters,
        "properties": {name: schema for name, schema in properties.items() if name in named},
        "required": [name for name in manifest.parameters.get("required", ()) if name in named],
        "additionalProperties": False,
    }


def _check_abandoned(k: Context, p: Process) -> None:
    """Raise Eagain where a person has to see to what was left under way, before there may be more of it."""
    table = k.table
    if table.abandoned_of.get(p.run, 0) >= limits.ABANDONED_MAX:
        raise Eagain(f"{limits.ABANDONED_MAX} effects of this run wait for a person as abandoned", call="tool_call")
    if len(table.abandoned) >= limits.ABANDONED_ALL_MAX:
        raise Eagain(f"{limits.ABANDONED_ALL_MAX} effects wait for a person as abandoned", call="tool_call")


def resources_of(manifest: ToolManifest, arguments: dict[str, Any]) -> list[str]:
    """The names of what the call must have to itself: each once, values quoted, so that none can pass for another."""
    properties: dict[str, dict[str, Any]] = manifest.parameters.get("properties", {})
    values = {
        name: quote(str(arguments.get(name, property_.get("default"))), safe="", errors="surrogatepass")
        for name, property_ in properties.items()
        if any(f"{{{name}}}" in resource for resource in manifest.resources)
    }
    return list(dict.fromkeys(resource.format_map(values) for resource in manifest.resources))
