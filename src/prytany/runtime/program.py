"""From the name of a program to its `main`, and from the way it ended to its exit record.

A name is `path/or/file.py:attr` or `package.module:attr`; the attribute is `main` when none is given. A program has to
be `async def`: a synchronous one could ask the kernel for nothing without stopping the loop that would answer.

Must not run the program. What a failure says is bounded, and without addresses: a replay has to say it again.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.abi.program import unpack_program
from prytany.abi.signals import Signal
from prytany.runtime.recorded import explain, load_recorded

TRACEBACK_BYTES_MAX = 8 << 10
MESSAGE_BYTES_MAX = 2 << 10
CAUSE_BYTES_MAX = 64
_OURS = ("prytany.runtime.", "asyncio.")
_OURS_BELOW = ("prytany.", "asyncio.")
"""Of an error of the kernel's, what led to it from the program on is nothing for its author to mend either."""
_CHAT = "/prytany/runtime/chat.py"
"""The program of chat agents, which runs from its record."""
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")

Main = Callable[..., Coroutine[Any, Any, Any]]


def load_program(target: str, source: bytes | None = None) -> Main:
    """The asynchronous function that `target` names. Runs its module: from `source`, what was recorded, if given.

    Raises:
        Enoent: no such file, module or attribute.
        Einval: what it names is not `async def`.
        Exception: what the module raised while it was imported.
    """
    place, colon, attribute = target.rpartition(":")
    if not colon:
        place, attribute = target, "main"
    module = (
        load_recorded(place, unpack_program(source))
        if source is not None
        else _load_file(place)
        if place.endswith(".py")
        else _load_module(place)
    )
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise Enoent(f"{place} has no {attribute!r}")
    if isinstance(found, type):  # a `Server`
        found = getattr(found, "serve", found)
    kind: Any = found.__class__
    called = getattr(kind, "__call__", None)  # noqa: B004 asked for its kind, not whether it is there
    if not (inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(called)):
        raise Einval(f"{target} is not `async def {attribute}(proc, ...)`: a worker runs asynchronous programs only")
    main: Main = found
    return main


def _load_file(place: str) -> Any:
    path = Path(place)
    if not path.is_file():
        raise Enoent(f"there is no program file {place}")
    # Its folder goes first, so that it can import what lies beside it; its name must hide no module loaded before.
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"prytany_program_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Enoent(f"{place} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_module(place: str) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
            raise Enoent(f"there is no module {place}") from None
        raise  # the program is there, and something that it imports is not


def exit_error(error: BaseException) -> dict[str, Any]:
    """What an exit record says of `error`: type, message, and the traceback's end."""
    explain(error)
    record: dict[str, Any] = {
        "type": type(error).__name__,
        "message": _bounded(_text_of(error), MESSAGE_BYTES_MAX),
        "traceback": _bounded("".join(_told(error)), TRACEBACK_BYTES_MAX),
    }
    if isinstance(error, KernelError):
        record["errno"] = error.errno
        if isinstance(cause := error.detail.get("cause"), str):
            record["cause"] = _bounded(cause, CAUSE_BYTES_MAX)
    return record


def _told(error: BaseException) -> Iterable[str]:
    """Its traceback, from the program on; of an error of the kernel's, the program's own frames and no others."""
    _of_program(error)
    if not isinstance(error, KernelError):
        return traceback.format_exception(error)
    told = traceback.TracebackException.from_exception(error)
    chain: list[tuple[traceback.TracebackException | None, BaseException | None]] = [(told, error)]
    for part, raised in chain:
        if part is not None and raised is not None:
            frames = traceback.walk_tb(raised.__traceback__)
            own = [line for line, (frame, _) in zip(part.stack, frames, strict=False) if not _is_ours(frame)]
            part.stack = traceback.StackSummary.from_list(own)
            chain += [(part.__cause__, raised.__cause__), (part.__context__, raised.__context__)]
    return told.format() if told.stack else [f"{_text_of(error)}\n"]


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith(_OURS_BELOW) or frame.f_code.co_filename.endswith(_CHAT)


def _text_of(error: BaseException) -> str:
    """What it says of itself, where it can."""
    try:
        return str(error)
    except Exception as broken:
        return f"(its text cannot be had: {type(broken).__name__})"


def _of_program(error: BaseException) -> BaseException:
    """`error` without the frames of the runtime that led into the program: nothing there is for its author to mend."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
        frame = frame.tb_next
    return error.with_traceback(frame)


def ended_by(signum: int) -> dict[str, Any]:
    """What the exit record of a program says that a signal ended."""
    name = f"SIG{Signal(signum).name}"
    return {"type": name, "message": f"ended by {name}", "traceback": ""}


def unsent(error: KernelError) -> dict[str, Any]:
    """What the exit record says where the program returned, and its result could not be sent."""
    why = _bounded(error.message.removeprefix("an argument cannot be sent: "), MESSAGE_BYTES_MAX // 2)
    message = f"what the program returned is no plain data, or is too large: {why}"
    return {"type": type(error).__name__, "message": message, "traceback": "", "errno": error.errno}


def _bounded(text: str, size_bytes: int) -> str:
    """The last `size_bytes` of `text`, where a traceback says what matters, with addresses struck out."""
    raw = _ADDRESS.sub("0x…", text).encode("utf-8", "backslashreplace")
    return raw[-size_bytes:].decode("utf-8", "ignore")
