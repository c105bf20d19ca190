"""Calling the operator's tools. What a call's effect is worth, and what it must have to itself, is decided here and
recorded; when it begins is admission's."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval
from prytany.abi.schema import mismatch
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
    if k.turns.longest(resources) >= limits.TOOL_QUEUE_MAX:
        raise Eagain(f"{limits.TOOL_QUEUE_MAX} calls hold or wait for a resource of {manifest.name}", call="tool_call")
    if manifest.effect not in ("pure", "keyed"):
        _check_abandoned(k, p)
    called = ev.ToolCalled(p.pid, n, manifest.name, manifest.effect, resources, tool.digest)
    if waits := k.paced.ask(p, n, a.arguments, brings=True):
        return Opened(after=(called, *waits))
    if not k.turns.free(resources):
        return Opened(after=(called,))
    return Opened(after=(called, ev.ToolStarted(p.pid, n)))


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
