"""A tool process: imports the operator's file, says what tools it has, and runs their calls.

    python -I -m prytany.drivers.tools.python.worker SOCKET PARENT

Executed afresh by `process.ToolProcess`, in a session of its own, with next to no environment. It dies with the kernel.
Other processes of its user cannot look into its memory or its environment (it is not dumpable), since the secrets of
another tool may be there. It must not trust a tool to leave its loop or its threads in order: the kernel ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
import linecache
import os
import resource
import signal
import socket
import sys
import traceback
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi import limits
from prytany.abi.wire import LENGTH_BYTES
from prytany.drivers.tools.python.describe import DescribedTool, find_tools
from prytany.drivers.tools.python.messages import (
    Answer,
    Call,
    Cancel,
    Described,
    Refused,
    Start,
    decode_order,
    decode_start,
    frame,
)

MESSAGE_BYTES_MAX = 2 << 10
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def main() -> None:
    """See the module."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    _bind_to(int(sys.argv[2]))
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            tools = _load(decode_start(_read(sock)))
        except BaseException as error:
            traceback.print_exc()
            sock.sendall(frame(Refused(_said(error))))
            return
        sock.sendall(frame(Described([tool.manifest for tool in tools.values()])))
        asyncio.run(_Server(tools).serve(sock))
    sys.stdout.flush()
    os._exit(0)  # threads of tools may run on


def _bind_to(parent: int) -> None:
    """End with the kernel, and be closed to others."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)


def _read(sock: socket.socket) -> bytes:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += (piece := sock.recv(size - len(data)))
            if not piece:
                raise EOFError
        return data

    return exactly(int.from_bytes(exactly(LENGTH_BYTES), "little"))


def _load(start: Start) -> dict[str, DescribedTool]:
    os.environ.update(start.secrets)
    path = Path(start.path)
    name = path.stem if path.stem not in {*sys.modules, *sys.stdlib_module_names} else f"prytany_tools_{path.stem}"
    module = types.ModuleType(name)
    module.__file__ = start.path
    sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    source = start.source.decode()
    linecache.cache[start.path] = (len(source), None, source.splitlines(keepends=True), start.path)
    exec(compile(source, start.path, "exec"), module.__dict__)
    return find_tools(module, path.stem)


def _said(error: BaseException) -> str:
    """Type and message, bounded."""
    try:
        text = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
    except Exception:
        text = type(error).__name__
    return text.encode("utf-8", "backslashreplace")[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore")


class _Server:
    """Runs calls, several at once."""

    def __init__(self, tools: dict[str, DescribedTool]) -> None:
        self._tools = tools
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._threads = ThreadPoolExecutor(limits.TOOL_CALLS_MAX, "tool")

    async def serve(self, sock: socket.socket) -> None:
        """Until the kernel closes its end."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "little")
                order = decode_order(await reader.readexactly(size))
                if isinstance(order, Cancel):
                    if (task := self._tasks.pop(order.id, None)) is not None:
                        task.cancel()
                else:
                    self._tasks[order.id] = asyncio.ensure_future(self._answer(order, writer))
        sys.stdout.flush()
        os._exit(0)

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> None:
        answer = await self._run(call)
        sys.stdout.flush()
        if self._tasks.pop(call.id, None) is not None:
            writer.write(frame(answer))
            await writer.drain()

    async def _run(self, call: Call) -> Answer:
        tool = self._tools[call.name]
        try:
            given = msgspec.msgpack.decode(call.arguments)
            converted = msgspec.convert(given, tool.arguments, str_keys=True)
        except (msgspec.MsgspecError, ValueError) as error:
            return Answer(call.id, "arguments", b"", f"the arguments do not fit: {_said(error)}")
        arguments = {name: getattr(converted, name) for name in tool.arguments.__struct_fields__}
        if tool.manifest.effect == "keyed":
            arguments["key"] = call.key
        try:
            value = _packed(await self._call(tool, arguments))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            traceback.print_exc()
            return Answer(call.id, "raised", b"", f"{call.name} raised {type(error).__name__}: {_said(error)}")
        if len(value) > limits.RESULT_BYTES_MAX:
            most = limits.RESULT_BYTES_MAX
            return Answer(call.id, "too_large", b"", f"the result has {len(value)} bytes, and {most} is the most")
        return Answer(call.id, "", value)

    async def _call(self, tool: DescribedTool, arguments: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(tool.function):
            return await tool.function(**arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: _held(tool, arguments))


def _held(tool: DescribedTool, arguments: dict[str, Any]) -> Any:
    # A future carries neither StopIteration nor what ends a thread.
    try:
        return tool.function(**arguments)
    except (StopIteration, SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _packed(value: Any) -> bytes:
    return msgspec.msgpack.encode(msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=True))


if __name__ == "__main__":
    main()
