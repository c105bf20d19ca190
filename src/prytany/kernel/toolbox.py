"""What a run may call: the operator's grants, held against the tools that are loaded in this kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Einval, Eperm, Epolicy
from prytany.ports.tool import ToolManifest, Tools
from prytany.process.process import Process
from prytany.security.grants import Grant, Grants


class GrantedTool(NamedTuple):
    """A tool that a process may call, as it is loaded; `digest` names what was recorded of its file's tools."""

    manifest: ToolManifest
    digest: bytes


def packed_manifests(tools: Tools) -> bytes:
    """What is recorded of a file's tools; the same for the same tools."""
    return msgspec.msgpack.encode(list(tools.manifests.values()), order="deterministic")


class Toolbox:
    """Looks up a run's tools. `loaded` is by file; a file stays what it was when it was loaded."""

    def __init__(self, grants: Grants, loaded: Mapping[str, Tools], digest: Callable[[bytes], bytes]) -> None:
        self._grants = grants
        self._loaded = loaded
        self._digest = digest
        self._digests: dict[str, bytes] = {}

    def find(self, process: Process, name: str) -> GrantedTool | None:
        """A tool of a process; None when it has none of that name. Raises Epolicy."""
        grant = self._grants.get(process.run, process.pid, name)
        return None if grant is None else GrantedTool(self._manifest(grant, name), grant.manifest)

    def of(self, process: Process) -> list[ToolManifest]:
        """All tools of a process, in the order of their names. Raises Epolicy."""
        own = self._grants.of(process.run, process.pid)
        return [self._manifest(own[name], name) for name in sorted(own)]

    def narrowed(self, parent: Process, pid: int, asked: list[str] | None) -> tuple[ev.Event, ...]:
        """What is recorded of the tools of a new child: nothing where it has all of its run's. Raises Eperm."""
        if asked is None and parent.pid not in self._grants.narrowed:
            return ()
        own = self._grants.of(parent.run, parent.pid)
        if beyond := sorted(set(asked or ()) - set(own)):
            raise Eperm(f"the caller has no tool {beyond[0][:100]!r} to give to a child", call="process_spawn")
        return (ev.ToolsNarrowed(pid, sorted(own if asked is None else set(asked))),)

    def path(self, run: int, name: str) -> str:
        """The file of a tool; "" when it was not granted."""
        grant = self._grants.get(run, 0, name)
        return grant.path if grant else ""

    def _manifest(self, grant: Grant, name: str) -> ToolManifest:
        tools = self._loaded.get(grant.path)
        if tools is None:
            raise Epolicy(f"the tool {name} is not loaded in this kernel", call="tool_call")
        digest = self._digests.get(grant.path)
        if digest is None:
            digest = self._digests[grant.path] = self._digest(packed_manifests(tools))
        if digest != grant.manifest:
            raise Epolicy(f"the tool {name} is not what it was when it was granted", call="tool_call")
        return tools.manifests[name]

    def names(self, path: str) -> list[str]:
        """The tools of a file. Raises Epolicy where it is not loaded."""
        if (tools := self._loaded.get(path)) is None:
            raise Epolicy(f"the tools of {path} are not loaded in this kernel")
        return list(tools.manifests)

    def grant(self, run: int, paths: list[str]) -> tuple[list[ev.Event], list[bytes]]:
        """The events that grant the tools of these files to a new run, and the content that they name.

        Raises:
            Epolicy: a file is not loaded.
            Einval: two files have a tool of one name, or there are too many.
        """
        events: list[ev.Event] = []
        contents: list[bytes] = []
        names: dict[str, str] = {}
        for path in dict.fromkeys(paths):
            if (tools := self._loaded.get(path)) is None:
                raise Epolicy(f"the tools of {path} are not loaded in this kernel")
            for name in tools.manifests:
                if name in names:
                    raise Einval(f"{path} and {names[name]} both have a tool {name}")
                names[name] = path
            manifest = packed_manifests(tools)
            events.append(
                ev.ToolsGranted(run, path, list(tools.manifests), self._digest(manifest), self._digest(tools.source))
            )
            contents += [manifest, tools.source]
        if len(names) > limits.TOOLS_MAX:
            raise Einval(f"{len(names)} tools, and {limits.TOOLS_MAX} is the most for one run")
        return events, contents
