"""The kernel's end of a worker's socket, scripted: it answers by a seed, or replays what it has answered before.

The worker is a fresh interpreter each time, under a hash seed and a heap history of its own.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 seeded, and printed when it fails
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.wire import Call, FrameReader, decode_frame, encode_item

HERE = Path(__file__).parent
START_NS = 1_790_000_000_000_000_000
WORKER = """
import sys, socket, os
heap, fd = int(sys.argv[1]), int(sys.argv[2])
junk = [bytearray((i * 7919 + heap * 31) % 5000 + 10) for i in range(heap * 997)]
del junk[::2]
from prytany.runtime.worker import main
status = main(socket.socket(fileno=fd), lambda loop, start: loop)
sys.stdout.flush()
os._exit(status)
"""

Item = tuple[int, int, str, Any]


@dataclass
class Run:
    """What a worker asked, in order, and what it was told."""

    calls: list[tuple[int, int, str, bytes]] = field(default_factory=list)  # delivered, n, name, args
    items: list[Item] = field(default_factory=list)
    frames: list[tuple[int, int]] = field(default_factory=list)  # delivered, calls
    status: int = -1
    stderr: str = ""

    @property
    def ending(self) -> tuple[int, Any, dict[str, Any] | None]:
        """What process_exit said."""
        _, _, name, args = self.calls[-1]
        assert name == "process_exit", (name, self.stderr)
        return tuple(msgspec.msgpack.decode(args))

    def named(self, name: str) -> list[list[Any]]:
        """The arguments of all calls of that name."""
        return [msgspec.msgpack.decode(args) for _, _, called, args in self.calls if called == name]


class Script:
    """A kernel that answers at random, from a seed: several in one write, races either way, time going on."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now_ns = START_NS
        self.open: dict[int, tuple[str, Any]] = {}
        self.left: dict[int, int] = {}  # pieces still to come, by call
        self.signals: list[int] = []
        self.cancels: list[tuple[int, int]] = []
        self.ended = False

    def take(self, call: Call) -> None:
        args = msgspec.msgpack.decode(call.args)
        if call.name == "call_cancel":
            self.cancels.append((call.n, args[0]))
        elif call.name == "raise_signal":
            self.signals.append(args[0])
            self.open[call.n] = (call.name, args)
        else:
            self.open[call.n] = (call.name, args)
            if call.name == "tokens":
                self.left[call.n] = args[0]

    def _cancel(self, n: int, target: int) -> list[Item]:
        """Decide the race: the call is cancelled, or its result was first; now and then answer the cancel too."""
        items: list[Item] = []
        if target in self.open:
            name, args = self.open[target]
            if name in ("never", "timer_wait") or self.rng.random() < 0.5:
                items.append((target, self.now_ns, "ECANCELED", ["cancelled", {}]))
            else:
                items.append((target, self.now_ns, "", args))
            del self.open[target]
        if self.rng.random() < 0.5:
            items.append((n, self.now_ns, "", None))
        return items

    def answers(self) -> list[Item]:
        """Up to three items that go out in one write."""
        items: list[Item] = []
        for _ in range(3):
            if self.ended:
                break
            self.now_ns += self.rng.randrange(1_000_000, 20_000_000)
            if self.signals and self.rng.random() < 0.5:
                items.append((-self.signals.pop(0), self.now_ns, "", None))
            elif self.cancels and self.rng.random() < 0.7:
                items += self._cancel(*self.cancels.pop(0))
            elif live := [n for n, (name, _) in self.open.items() if name != "never"]:
                items.append(self._answer(self.rng.choice(live)))
        answerable = any(name != "never" for name, _ in self.open.values())
        if not items and (self.cancels or self.signals or answerable):  # cancels that came too late met silence
            return self.answers()
        return items

    def _answer(self, n: int) -> Item:
        name, args = self.open[n]
        if self.left.get(n, 0) > 0:
            self.left[n] -= 1
            return (n, self.now_ns, "+", f"piece {self.left[n]}")
        del self.open[n]
        if name == "timer_wait":
            self.now_ns = max(self.now_ns, args[0])
            return (n, self.now_ns, "", None)
        if name == "fail":
            return (n, self.now_ns, args[0], ["as asked", {"why": "test"}])
        self.ended |= name == "process_exit"
        return (n, self.now_ns, "", args)


def start_item(program: str, args: tuple[Any, ...] = (), source: bytes | None = None) -> bytes:
    """What a worker of that program, one of `programs/`, is sent first."""
    start: dict[str, Any] = {
        "program": program if ":" in program and ".py" not in program else str(HERE / "programs" / program),
        "args": args,
        "kwargs": {},
        "seed": b"s" * 32,
        "pid": 7,
        "incarnation": 1,
        "name": "t",
    }
    if source is not None:
        start["source"] = source
    return encode_item(0, START_NS, "", start)


def run(
    program: str,
    *args: Any,
    seed: int = 1,
    hash_seed: int = 0,
    heap: int = 0,
    replay: list[Item] | None = None,
    drip: bool = False,
    source: bytes | None = None,
) -> Run:
    """Run `program` in a worker: live by `seed`, or against the items of an earlier run, all at once or one by one."""
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    environment = {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(heap), str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    theirs.close()
    result = Run()
    try:
        ours.sendall(start_item(program, args, source))
        talk(ours, result, Script(seed), replay, drip)
        ours.close()
        _, result.stderr = worker.communicate(timeout=30)
    finally:
        ours.close()
        if worker.poll() is None:
            worker.send_signal(signal.SIGKILL)
            _, result.stderr = worker.communicate()
    result.status = worker.returncode
    return result


def talk(ours: socket.socket, result: Run, script: Script, replay: list[Item] | None, drip: bool) -> None:
    """Be the kernel to a worker that has its start item, until it has ended or the replay has."""
    reader = FrameReader()
    sent, idle_at = 1, 0
    if replay is not None and not drip:
        ours.sendall(b"".join(encode_item(*item) for item in replay))
        sent += len(replay)
    while not script.ended:
        try:
            data = ours.recv(1 << 16)
        except ConnectionResetError:  # it left, and did not read what was sent after its exit
            return
        if not data:
            return
        for body in reader.feed(data):
            frame = decode_frame(body)
            idle_at = frame.delivered
            result.frames.append((frame.delivered, len(frame.calls)))
            for call in frame.calls:
                result.calls.append((frame.delivered, call.n, call.name, bytes(call.args)))
                script.take(call)
        if idle_at < sent:
            continue
        if replay is None:
            items = script.answers()
            assert items, f"the program waits for what nothing will answer: {script.open}"
        elif sent <= len(replay):
            items = [replay[sent - 1]]
        else:
            return
        result.items += items
        ours.sendall(b"".join(encode_item(*item) for item in items))
        sent += len(items)
