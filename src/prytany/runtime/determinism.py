"""Time, randomness and identity of a worker, answered from its record: the same answers live and in replay.

The time is that of the last item and stands still between two: nothing a program measures between two calls is time
that the record knows. Random bytes come from the recorded seed. Threads, processes and `time.sleep` are refused: none
can be repeated. Modules that had taken a function before (`from time import time`) are given the new one.

This is for honest programs, so that their replay holds. It confines nobody: the sandbox does.
Must not be installed in the kernel or a zygote; there is no way back.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import ctypes
import datetime
import gc
import importlib
import inspect
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prytany.abi.errors import Eperm, KernelPanic
from prytany.runtime.drbg import Drbg


def install(
    *, now_ns: Callable[[], int], start_ns: Callable[[], int], seed: bytes, pid: int
) -> Callable[[bytes], None]:
    """Answer the process's time, randomness and pid from its record, from now on.

    Args:
        now_ns: the recorded time of the last item, nanoseconds since 1970.
        start_ns: that of the record's start; monotonic clocks count from it.
        seed: of the record, recorded.
        pid: what `os.getpid` says.

    Returns:
        what begins all randomness again from another seed, where a record was cut.
    """
    drbg = Drbg(seed)

    def reseed(seed: bytes) -> None:
        drbg.restart(seed)
        generators: Any = random
        generators._inst.seed()
        _restart_uuid()

    _replace_everywhere(_replacements(now_ns, start_ns, drbg, pid))
    _patch_datetime()
    _patch_random()
    _restart_uuid()
    return reseed


def _replacements(
    now_ns: Callable[[], int], start_ns: Callable[[], int], drbg: Drbg, pid: int
) -> dict[str, Callable[..., Any]]:
    """By the path of what each stands for: `module.name`, or `module.class.name`."""
    return {**_clocks(now_ns, start_ns), **_entropy(drbg, pid), **_refusals()}


def _clocks(now_ns: Callable[[], int], start_ns: Callable[[], int]) -> dict[str, Callable[..., Any]]:
    def since_start_ns() -> int:
        return now_ns() - start_ns()

    def since_start() -> float:
        return (now_ns() - start_ns()) / 1e9

    def wall() -> float:
        return now_ns() / 1e9

    def clock_gettime_ns(clock: int) -> int:
        return now_ns() if clock == time.CLOCK_REALTIME else since_start_ns()

    def clock_gettime(clock: int) -> float:
        return clock_gettime_ns(clock) / 1e9

    clocks: dict[str, Callable[..., Any]] = {
        "time.time": wall,
        "time.time_ns": now_ns,
        "time.clock_gettime_ns": clock_gettime_ns,
        "time.clock_gettime": clock_gettime,
    }
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        clocks[f"time.{name}"] = since_start
        clocks[f"time.{name}_ns"] = since_start_ns

    # These read the clock themselves when they are given no time.
    def or_now(first: Callable[..., Any]) -> Callable[..., Any]:
        def given_or_now(secs: float | None = None) -> Any:
            return first(wall() if secs is None else secs)

        return given_or_now

    for name in ("localtime", "gmtime", "ctime"):
        clocks[f"time.{name}"] = or_now(getattr(time, name))
    localtime, first_strftime, first_asctime = time.localtime, time.strftime, time.asctime

    def strftime(form: str, t: Any = None) -> str:
        return first_strftime(form, localtime(wall()) if t is None else t)

    def asctime(t: Any = None) -> str:
        return first_asctime(localtime(wall()) if t is None else t)

    clocks["time.strftime"], clocks["time.asctime"] = strftime, asctime
    return clocks


def _entropy(drbg: Drbg, pid: int) -> dict[str, Callable[..., Any]]:
    def getrandom(size: int, flags: int = 0) -> bytes:
        return drbg.read(size)

    return {
        "os.urandom": drbg.read,
        "os.getrandom": getrandom,
        "os.getpid": lambda: pid,
    }


def _refusals() -> dict[str, Callable[..., Any]]:
    def refusal(name: str, instead: str) -> Callable[..., Any]:
        def refuse(*_args: object, **_kwargs: object) -> Any:
            raise Eperm(f"a worker has no {name}: {instead}", call=name)

        return refuse

    one_line = "a program is one thread that a replay can follow; use tasks"
    ask = "ask the kernel (proc.spawn, proc.tools)"
    refused = {"time.sleep": refusal("time.sleep", "it would stop the process; await proc.sleep or asyncio.sleep")}
    for name in ("threading.Thread.start", "_thread.start_new_thread", "_thread.start_new"):
        refused[name] = refusal(name, one_line)
    for name in ("_thread.start_joinable_thread", "_posixsubprocess.fork_exec"):
        refused[name] = refusal(name, one_line if "thread" in name else ask)
    for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"):
        refused[f"os.{name}"] = refusal(f"os.{name}", ask)
    return refused


Holder = tuple[dict[str, Any], str, str]
"""A module's names, one of them, and the path of what it stands for."""

_known: list[Holder] = []
_searched: set[str] = set()
"""Modules whose names are in `_known`."""


def find_holders() -> None:
    """Look through every module for what will be replaced. A zygote does it once, so that its workers need not."""
    _known.extend(_search(_originals(_replacements(int, int, Drbg(b""), 0))))


def _originals(paths: Iterable[str]) -> dict[int, tuple[str, Any]]:
    """By identity, the path and the function; held, so that no identity is given away twice."""
    found: dict[int, tuple[str, Any]] = {}
    for path in paths:
        holder, name = _holder_of(path)
        original = getattr(holder, name, None)
        if original is not None:  # else not on this version of Python
            found[id(original)] = (path, original)
    return found


def _holder_of(path: str) -> tuple[Any, str]:
    module_name, _, name = path.partition(".")
    holder: Any = importlib.import_module(module_name)
    *inner, name = name.split(".")
    for part in inner:
        holder = getattr(holder, part)
    return holder, name


def _search(originals: dict[int, tuple[str, Any]]) -> Iterator[Holder]:
    """Who holds one of them, in the modules that were not searched before."""
    for module_name, module in list(sys.modules.items()):
        names: dict[str, Any] | None = getattr(module, "__dict__", None)
        if module_name in _searched or names is None or names.get("__name__") == __name__:
            continue
        _searched.add(module_name)
        for name, value in names.items():
            if (found := originals.get(id(value))) is not None:
                yield names, name, found[0]


def _replace_everywhere(swap: dict[str, Callable[..., Any]]) -> None:
    """Put each function in the place of the one it is named after, in every module that holds it."""
    originals = _originals(swap)
    holders = [*_known, *_search(originals)]
    for path, _ in originals.values():
        holder, name = _holder_of(path)
        setattr(holder, name, swap[path])
    for names, name, path in holders:
        if path in swap:
            names[name] = swap[path]


def _patch_datetime() -> None:
    """Let `datetime.now` and `utcnow` ask `time.time`, as `today` does by itself.

    The C type is changed in place and not subclassed: every module that imported it earlier is reached, and
    `type(x) is datetime` and `isinstance` stay true of what C code makes.
    """
    real = datetime.datetime

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    names: Any
    (names,) = gc.get_referents(real.__dict__)  # what the read-only view shows
    names["now"], names["utcnow"] = classmethod(now), classmethod(utcnow)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(real))
    if inspect.getattr_static(real, "now") is not names["now"] or abs(real.now().timestamp() - time.time()) > 1e-3:
        raise KernelPanic("datetime.now could not be put under the record")


def _patch_random() -> None:
    """Seed from the record what would seed itself: `Random()`, `random.seed()`, and the module's own generator."""
    first = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        first(self, int.from_bytes(os.urandom(32), "big") if a is None else a, version)

    generators: Any = random
    generators.Random.seed = seed
    generators.seed = generators._inst.seed
    generators._inst.seed()
    # SystemRandom, and so `secrets`, draw from `random._urandom`, which was replaced with os.urandom.


def _restart_uuid() -> None:
    """Let uuid1 take its node and its clock from the record; uuid4 takes os.urandom."""
    module: Any = uuid
    module._generate_time_safe = module._UuidCreate = module._last_timestamp = None
    module._node = random.getrandbits(48) | 1 << 40  # the multicast bit: not a card's address
