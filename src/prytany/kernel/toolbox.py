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


def older(path: str, manifest: bytes) -> str:
    """What a file of tools is known by, once another text of it is loaded, to the runs that go on with this one."""
    return f"{manifest.hex()}:{path}"


class Toolbox:
    """Looks up a run's tools. `loaded` is by file; one that was replaced by another that says something else of its
    tools is there as `older` of it, for as long as a run goes on with it."""

    def __init__(self, grants: Grants, loaded: Mapping[str, Tools], digest: Callable[[bytes], bytes]) -> None:
        self._grants = grants
        self._loaded = loaded
        self._digest = digest
        self._digests: dict[str, tuple[Tools, bytes]] = {}

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

    def loaded(self, run: int, name: str) -> Tools | None:
        """The file of a tool of a run, as the run was granted it; None where there is none such."""
        grant = self._grants.get(run, 0, name)
        return self._of(grant) if grant else None

    def said_by(self, path: str, tools: Tools) -> bytes:
        """The digest of what a file that is loaded says of its tools."""
        known = self._digests.get(path)
        if known is None or known[0] is not tools:
            known = self._digests[path] = tools, self._digest(packed_manifests(tools))
        return known[1]

    def _of(self, grant: Grant) -> Tools | None:
        tools = self._loaded.get(grant.path)
        if tools is not None and self.said_by(grant.path, tools) == grant.manifest:
            return tools
        return self._loaded.get(older(grant.path, grant.manifest))

    def _manifest(self, grant: Grant, name: str) -> ToolManifest:
        if (tools := self._of(grant)) is None:
            why = "what it was when it was granted" if grant.path in self._loaded else "loaded in this kernel"
            raise Epolicy(f"the tool {name} is not {why}", call="tool_call")
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
