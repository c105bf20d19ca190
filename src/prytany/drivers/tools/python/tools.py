"""One file of Python tools as a `prytany.ports.tool.Tools`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prytany.abi import limits
from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.drivers.tools.python.messages import Start
from prytany.drivers.tools.python.process import ToolProcess
from prytany.drivers.tools.python.strike import Strike
from prytany.ports.tool import ToolFailure, ToolFeatures, ToolManifest

SOURCE_BYTES_MAX = 2 << 20
FEATURES = ToolFeatures(concurrent=True, cancels=True)
Secrets = tuple[str, ...]


class PythonTools:
    """The tools of a file, as they were when it was loaded. Make it with `load`."""

    def __init__(self, path: str, source: bytes, secrets: Mapping[str, str], log: Callable[[bytes], None]) -> None:
        self.path = path
        self.source = source
        self.features = FEATURES
        self.manifests: dict[str, ToolManifest] = {}
        self.secrets = dict(secrets)
        """The values of those that its tools name."""
        self.lacking: dict[str, str] = {}
        """Those that its tools name and that cannot be had, with why; a tool that names one is not called."""
        self.beside = b""
        """A digest of what it imports from beside it, where who loaded it took one."""
        self._calls = 0
        self._done = asyncio.Event()
        self._log = log
        self._processes: dict[Secrets, ToolProcess] = {}
        self._starting: dict[Secrets, asyncio.Lock] = {}
        self._ended: set[asyncio.Task[None]] = set()

    @classmethod
    async def load(
        cls, path: Path, environment: Mapping[str, str] | None, log: Callable[[bytes], None] = lambda data: None,
        source: bytes | None = None, *, lenient: bool = False,
    ) -> PythonTools:  # fmt: skip
        """Import the file in a process of its own, and learn what tools it has.

        Args:
            path: of the operator's file.
            environment: the operator's, from which the named secrets are taken; None to look at the tools only.
            log: takes what they print, secrets struck out.
            source: its text, where that is not what the file holds now.
            lenient: go without a secret that cannot be had; see `lacking`.

        Raises:
            Enoent: there is no such file, or a secret that a tool names is not in the environment.
            Einval: the file cannot be imported, or a declaration in it is wrong.
        """
        tools = cls(str(path), _source(path) if source is None else source, {}, log)
        try:
            process, manifests = await tools._start(())
        except ToolFailure as failure:
            raise Einval(f"the tools of {path} cannot be used: {failure.message}") from None
        tools.manifests = {manifest.name: manifest for manifest in manifests}
        tools._processes[()] = process
        try:
            if len(manifests) > limits.TOOLS_MAX:
                raise Einval(f"{path} has {len(manifests)} tools, and {limits.TOOLS_MAX} is the most")
            if environment is not None:
                tools.secrets = _named(manifests, environment, tools.lacking if lenient else None)
        except BaseException:
            await tools.close()
            raise
        return tools

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        """One result; raises ToolFailure. A process that died is started again."""
        manifest = self.manifests[name]
        if gone := [secret for secret in manifest.secrets if secret in self.lacking]:
            said = f"the tool {name} needs the secret {gone[0]}, which its operator has to give: see prytany status"
            raise ToolFailure("no_secret", said)
        self._calls += 1
        try:
            process = await self._process(manifest.secrets)
            return await process.call(name, arguments, key, manifest.timeout_ms)
        finally:
            self._calls -= 1
            if not self._calls:
                self._done.set()

    async def drain(self) -> None:
        """Return when nothing is called any more, or after the longest time that one of its tools may take."""
        longest_ms = max((manifest.timeout_ms for manifest in self.manifests.values()), default=0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_ms / 1_000):
                while self._calls:
                    self._done.clear()
                    await self._done.wait()

    async def close(self) -> None:
        """End all processes."""
        processes = list(self._processes.values())
        self._processes.clear()
        await asyncio.gather(*(process.close() for process in processes), *self._ended)

    async def _process(self, secrets: Secrets) -> ToolProcess:
        async with self._starting.setdefault(secrets, asyncio.Lock()):
            process = self._processes.get(secrets)
            if process is not None and not process.dead:
                return process
            if process is not None:
                task = asyncio.ensure_future(self._processes.pop(secrets).close())
                self._ended.add(task)
                task.add_done_callback(self._ended.discard)
            process, manifests = await self._start(secrets)
            if {m.name: m for m in manifests} != self.manifests:
                await process.close()
                raise ToolFailure("unavailable", f"{self.path} says something else of its tools than it did before")
            self._processes[secrets] = process
            return process

    async def _start(self, secrets: Secrets) -> tuple[ToolProcess, list[ToolManifest]]:
        values = {name: self.secrets[name] for name in secrets}
        start = Start(self.path, self.source, values)
        return await ToolProcess.start(start, str(Path(self.path).parent), Strike(self.secrets), self._log)


def _source(path: Path) -> bytes:
    if not path.is_file():
        raise Enoent(f"there is no file of tools {path}")
    try:
        with path.open("rb") as file:
            source = file.read(SOURCE_BYTES_MAX + 1)
    except OSError as error:
        raise Enoent(f"the tools of {path} cannot be read: {error.strerror}") from None
    if len(source) > SOURCE_BYTES_MAX:
        raise Einval(f"{path} has more than {SOURCE_BYTES_MAX} bytes")
    return source


def _named(
    manifests: list[ToolManifest], environment: Mapping[str, str], lacking: dict[str, str] | None
) -> dict[str, str]:
    """The secrets that the tools name, and nothing else of the environment; into `lacking`, where there is one, goes
    why one cannot be had, and else that is raised."""
    found: dict[str, str] = {}
    for manifest in manifests:
        for name in manifest.secrets:
            try:
                found[name] = _secret(manifest, name, environment)
            except KernelError as error:
                if lacking is None:
                    raise
                lacking[name] = error.message
    return found


def _secret(manifest: ToolManifest, name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        error = Enoent(f"the tool {manifest.name} needs the secret {name}, and the environment has none")
        error.add_note(f"set it, and try again: export {name}=…")
        raise error
    if len(value.encode("utf-8", "replace")) > limits.TOOL_SECRET_BYTES_MAX:
        raise Einval(f"the secret {name} has more than {limits.TOOL_SECRET_BYTES_MAX} bytes")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise Einval(f"the secret {name} is no text")
    return value
