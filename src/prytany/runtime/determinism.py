"""Time, randomness and identity of a worker, answered from its record: the same answers live and in replay.

The time is that of the last item and stands still between two: nothing a program measures between two calls is time
that the record knows. Random bytes come from the recorded seed. Threads, processes and `time.sleep` are refused: none
can be repeated. Modules that had taken a function before (`from time import time`) are given the new one.

It is done in two steps. `prepare` puts a stand-in in every place, which asks the original for as long as there is no
record; a zygote does that once, and is itself none the wiser. `install` gives this process its record, and is little
more than one assignment: what a worker writes to after the fork, it no longer shares with the others.

This is for honest programs, so that their replay holds. It confines nobody: the sandbox does.
Must not be prepared or installed in the kernel: the stand-ins stay.
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
from collections.abc import Callable
from typing import Any

from prytany.abi.errors import Eperm, KernelPanic
from prytany.runtime.drbg import Drbg

_Function = Callable[..., Any]


class _Record:
    """What answers in the place of the machine."""

    def __init__(self, now_ns: Callable[[], int], start_ns: Callable[[], int], drbg: Drbg, pid: int) -> None:
        self.now_ns = now_ns
        self._start_ns = start_ns
        self.drbg = drbg
        self._pid = pid

    def wall_ns(self) -> int:
        return self.now_ns()

    def wall(self) -> float:
        return self.now_ns() / 1e9

    def since_start_ns(self) -> int:
        return self.now_ns() - self._start_ns()

    def since_start(self) -> float:
        return self.since_start_ns() / 1e9

    def clock_gettime_ns(self, clock: int) -> int:
        return self.now_ns() if clock == time.CLOCK_REALTIME else self.since_start_ns()

    def clock_gettime(self, clock: int) -> float:
        return self.clock_gettime_ns(clock) / 1e9

    def urandom(self, size: int) -> bytes:
        return self.drbg.read(size)

    def getrandom(self, size: int, flags: int = 0) -> bytes:
        return self.drbg.read(size)

    def getpid(self) -> int:
        return self._pid


_PROBE_NS = 1_000_000_000
_prepared = False
_record: _Record | None = None
"""Of this process; None until it is installed, and in a zygote whenever it forks."""


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
    global _record
    prepare()
    record = _record = _Record(now_ns, start_ns, Drbg(seed), pid)

    def reseed(seed: bytes) -> None:
        record.drbg.restart(seed)
        _restart_random()

    _restart_random()
    return reseed


def uninstall() -> None:
    """Have no record any more: for a zygote, whose rehearsal had one. Time, chance and identity are the machine's."""
    global _record
    _record = None
    _restart_random()


def prepare() -> None:
    """Put the stand-ins in every place that holds an original now. What is imported later finds them there."""
    global _prepared
    if _prepared:
        return
    _prepared = True
    _replace_everywhere()
    _patch_datetime()
    _patch_random()


def _answers() -> dict[str, _Function]:
    """What is asked with the record first, by the path of what each stands for: `module.name`, `module.class.name`."""
    return {
        **_clocks(),
        "os.urandom": _Record.urandom,
        "os.getrandom": _Record.getrandom,
        "os.getpid": _Record.getpid,
        **_refusals(),
    }


def _clocks() -> dict[str, _Function]:
    clocks: dict[str, _Function] = {
        "time.time": _Record.wall,
        "time.time_ns": _Record.wall_ns,
        "time.clock_gettime": _Record.clock_gettime,
        "time.clock_gettime_ns": _Record.clock_gettime_ns,
    }
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        clocks[f"time.{name}"] = _Record.since_start
        clocks[f"time.{name}_ns"] = _Record.since_start_ns

    # These read the clock themselves when they are given no time.
    def or_now(first: _Function) -> _Function:
        def given_or_now(record: _Record, secs: float | None = None) -> Any:
            return first(record.wall() if secs is None else secs)

        return given_or_now

    for name in ("localtime", "gmtime", "ctime"):
        clocks[f"time.{name}"] = or_now(getattr(time, name))
    localtime, first_strftime, first_asctime = time.localtime, time.strftime, time.asctime

    def strftime(record: _Record, form: str, t: Any = None) -> str:
        return first_strftime(form, localtime(record.wall()) if t is None else t)

    def asctime(record: _Record, t: Any = None) -> str:
        return first_asctime(localtime(record.wall()) if t is None else t)

    clocks["time.strftime"], clocks["time.asctime"] = strftime, asctime
    return clocks


def _refusals() -> dict[str, _Function]:
    def refusal(name: str, instead: str) -> _Function:
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


def _stand_in(original: _Function, answer: _Function) -> _Function:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        record = _record
        return original(*args, **kwargs) if record is None else answer(record, *args, **kwargs)

    return stand_in


def _replace_everywhere() -> None:
    """Put each stand-in in the place of its original, in every module that holds it."""
    stand_ins: dict[int, tuple[_Function, _Function]] = {}  # the original is held, so that its identity stays its own
    for path, answer in _answers().items():
        holder, name = _holder_of(path)
        original = getattr(holder, name, None)
        if original is None:  # not on this version of Python
            continue
        stand_ins[id(original)] = original, _stand_in(original, answer)
        setattr(holder, name, stand_ins[id(original)][1])
    for module in list(sys.modules.values()):
        names: dict[str, Any] | None = getattr(module, "__dict__", None)
        if names is None or names.get("__name__") == __name__:
            continue
        for name, value in list(names.items()):
            found = stand_ins.get(id(value))
            if found is not None:
                names[name] = found[1]


def _holder_of(path: str) -> tuple[Any, str]:
    module_name, _, name = path.partition(".")
    holder: Any = importlib.import_module(module_name)
    *inner, name = name.split(".")
    for part in inner:
        holder = getattr(holder, part)
    return holder, name


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
    if inspect.getattr_static(real, "now") is not names["now"] or not _follows_a_record(real):
        raise KernelPanic("datetime.now could not be put under the record")


def _follows_a_record(real: type[datetime.datetime]) -> bool:
    """Whether `now` says what a record does: the type may have kept what it had looked up before."""
    global _record
    _record = _Record(lambda: _PROBE_NS, lambda: 0, Drbg(b""), 0)
    try:
        return real.now(datetime.UTC).timestamp() == _PROBE_NS / 1e9
    finally:
        _record = None


def _patch_random() -> None:
    """Seed from the record what would seed itself: `Random()`, `random.seed()`, and the module's own generator."""
    first = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        first(self, int.from_bytes(os.urandom(32), "big") if a is None else a, version)

    generators: Any = random
    generators.Random.seed = seed
    generators.seed = generators._inst.seed
    # SystemRandom, and so `secrets`, draw from `random._urandom`, which was replaced with os.urandom.


def _restart_random() -> None:
    """Begin the module's own generator again, and let uuid1 take its node from it and its clock from the record.

    uuid4 takes os.urandom.
    """
    generators: Any = random
    generators._inst.seed()
    module: Any = uuid
    module._generate_time_safe = module._UuidCreate = module._last_timestamp = None
    module._node = random.getrandbits(48) | 1 << 40  # the multicast bit: not a card's address
