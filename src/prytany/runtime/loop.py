"""The worker's event loop: the kernel's socket is its only input, and it takes one item at a time.

Live and in replay alike: deliver one item, run until idle, send the calls that this led to as one frame. That is what
makes the order of concurrent calls repeat. So it has no selector, no files, no threads and no clock: its time is that
of the last item, and a timer is a call.

Must not: read the real clock, take a second item before it is idle, or send a call that it has not numbered.
Source: probes/worker_loop.py.
"""

# pyright: reportPrivateUsage=false
# An event loop is written against BaseEventLoop's own parts; asyncio has no public way to give it another heart.
from __future__ import annotations

import asyncio
import select
import socket
import threading
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, cast

from prytany.abi.errors import Eagain, Einval, Eperm
from prytany.abi.limits import CALLS_IN_FLIGHT_MAX, FRAME_BYTES_MAX, FRAME_CALLS_MAX
from prytany.abi.wire import PIECE, START, FrameReader, ItemTuple, decode_item, encode_call, join_frame
from prytany.runtime.calls import CallFuture, CallStream, CallTimer
from prytany.runtime.ordered import OrderedFuture, OrderedTask, OrderedWeak

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
RECV_BYTES = 1 << 18
FRAME_SPARE_BYTES = 1 << 16  # of a frame, kept for the cancellations that no limit may refuse


class Disconnected(BaseException):
    """The kernel is gone. Nobody is left to ask, so nothing of the program may run any more."""


class WorkerLoop(BaseEventLoop):
    """An event loop over one connected, blocking socket. See the module for its law."""

    _ready: deque[asyncio.Handle]
    _stopping: bool
    _thread_id: int | None
    _asyncgens: Any
    _sock: socket.socket

    def __init__(self, sock: socket.socket | None = None) -> None:
        super().__init__()
        self._asyncgens = OrderedWeak()
        if sock is not None:
            self.connect(sock)
        self._reader = FrameReader()
        self._items: deque[bytes] = deque()
        self._pending: dict[int, CallFuture | CallStream | CallTimer] = {}
        self._signals: dict[int, Callable[[], object]] = {}
        self._calls: list[bytes] = []  # made since the last item
        self._calls_bytes = 0
        self._out: list[bytes] = []  # frames not yet written
        self._out_bytes = 0
        self._made = 0
        self._delivered = 0
        self._reported = 0  # the last `delivered` that a frame carries
        self.start_ns = 0
        self.now_ns = 0

    def connect(self, sock: socket.socket) -> None:
        """Take the kernel's socket, once, before anything else: the loop itself may have been made before a fork."""
        self._sock = sock

    # The program's side -----------------------------------------------------------------------------------------

    def call(self, name: str, args: tuple[Any, ...] = ()) -> CallFuture:
        """Make a system call; the future holds its result or its KernelError.

        Raises:
            Einval: the arguments cannot be sent, or are too large.
            Eagain: as many calls as one process may have are in flight, or one step has filled its frame.
        """
        n = self._admit(name, args)
        entry = self._pending[n] = CallFuture(self, self, n, name)
        return entry

    def stream(self, name: str, args: tuple[Any, ...] = ()) -> CallStream:
        """Make a system call that is answered in pieces. Raises as `call`."""
        n = self._admit(name, args)
        entry = self._pending[n] = CallStream(self, self, n, name)
        return entry

    def cancel_call(self, n: int) -> None:
        """Tell the kernel that call `n` is not wanted any more. It decides, and still answers `n`."""
        self._append("call_cancel", (n,))

    def on_signal(self, signum: int, callback: Callable[[], object] | None) -> None:
        """Run `callback` when `signum` arrives, in place of what ran before; None ignores it."""
        if callback is None:
            self._signals.pop(signum, None)
        else:
            self._signals[signum] = callback

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], Any], *args: *_Ts) -> None:
        """asyncio's name for `on_signal`."""
        self.on_signal(sig, lambda: callback(*args))

    def remove_signal_handler(self, sig: int) -> bool:
        """Ignore `sig` from now on; False if it was ignored."""
        return self._signals.pop(sig, None) is not None

    def _admit(self, name: str, args: tuple[Any, ...]) -> int:
        if len(self._pending) >= CALLS_IN_FLIGHT_MAX:
            raise Eagain(f"{CALLS_IN_FLIGHT_MAX} calls are in flight; await some of them first", call=name)
        if len(self._calls) >= FRAME_CALLS_MAX:
            raise Eagain(f"{FRAME_CALLS_MAX} calls in one step; await some of them first", call=name)
        return self._append(name, args, FRAME_BYTES_MAX - FRAME_SPARE_BYTES)

    def _append(self, name: str, args: tuple[Any, ...], bytes_max: int = 0) -> int:
        """Number a call and put it into this step's frame; a call that is refused has taken no number."""
        n = self._made + 1
        call = encode_call(n, name, args)
        if bytes_max and self._calls_bytes + len(call) > bytes_max:
            raise Eagain("the calls of this step fill a frame; await some of them first", call=name)
        self._made = n
        self._calls.append(call)
        self._calls_bytes += len(call)
        return n

    # Time -------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since this incarnation's start, as of the last item."""
        return (self.now_ns - self.start_ns) / 1e9

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; a system call unless it is due already."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; a system call unless it is due already."""
        timer = CallTimer(when, callback, args, self, context, self._ready.append)
        deadline_ns = self.start_ns + round(when * 1e9)
        if deadline_ns <= self.now_ns:
            self._ready.append(timer)
        else:
            timer.n = self._admit("timer_wait", (deadline_ns,))
            self._pending[timer.n] = timer
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if isinstance(handle, CallTimer) and self._pending.pop(handle.n, None) is not None:
            self.cancel_call(handle.n)

    # asyncio's side ---------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future with a number."""
        return OrderedFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[_T]:
        """A task with a number."""
        return OrderedTask(coro, loop=self, name=None if name is None else str(name), context=context, **kwargs)

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As `call_soon`, from the loop's own thread; another thread's moment could not be repeated."""
        if self._thread_id is not None and self._thread_id != threading.get_ident():
            raise Eperm("a worker's loop takes callbacks from its own thread only")
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        ready = self._ready
        if not ready and not self._stopping:
            self._deliver()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    # The kernel's side ------------------------------------------------------------------------------------------

    def take_start(self) -> dict[str, Any]:
        """Wait for the start item, set the time from it, and return what it says."""
        n, time_ns, _, value = self._take()
        if n != START or not isinstance(value, dict):
            raise Einval("the first item is not a start")
        self.start_ns = self.now_ns = time_ns
        start = cast("dict[str, Any]", value)
        self._made = start.get("base", 0)
        return start

    def cut(self) -> int:
        """The record starts here: time counts from now, as it will for a fresh worker. The number of calls so far."""
        self.start_ns = self.now_ns
        return self._made

    def flush(self) -> None:
        """Write all that is due."""
        self._end_step()
        if self._reported != self._delivered:  # nothing to ask, and idle: the kernel has to know
            self._put_frame([])
        if self._out:
            unsent = memoryview(b"".join(self._out))
            self._out.clear()
            self._out_bytes = 0
            while unsent:
                try:
                    unsent = unsent[self._sock.send(unsent, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    self._wait_writable()
                except OSError as error:
                    raise Disconnected from error

    def _wait_writable(self) -> None:
        """Wait until more can be sent, and take what comes meanwhile: the kernel may wait for that before it reads."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLOUT)
        if any(events & select.POLLIN for _, events in poll.poll()):
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(RECV_BYTES)
        except OSError as error:
            raise Disconnected from error
        if not data:
            raise Disconnected
        self._items.extend(self._reader.feed(data))

    def _deliver(self) -> None:
        n, time_ns, errno, value = self._take()
        if time_ns > self.now_ns:  # journal time never goes back
            self.now_ns = time_ns
        if n < 0:
            handler = self._signals.get(-n)
            if handler is not None:
                self.call_soon(handler)
            return
        entry = self._pending.get(n)
        if entry is None:  # a cancelled timer, or the answer to a call_cancel
            return
        if errno != PIECE:
            del self._pending[n]
        entry.answer(errno, value)

    def _take(self) -> ItemTuple:
        """The next item; writes first if it has to block for it, so that the kernel knows that we are idle."""
        if self._calls:
            self._end_step()
        if not self._items:
            self.flush()
            while not self._items:
                self._receive()
        elif self._out_bytes > RECV_BYTES:
            self.flush()
        self._delivered += 1
        item: ItemTuple = decode_item(self._items.popleft())
        return item

    def _end_step(self) -> None:
        calls, self._calls, self._calls_bytes = self._calls, [], 0
        # More than a frame takes only if thousands of cancellations joined: then two frames carry one `delivered`.
        for at in range(0, len(calls), FRAME_CALLS_MAX):
            self._put_frame(calls[at : at + FRAME_CALLS_MAX] if len(calls) > FRAME_CALLS_MAX else calls)

    def _put_frame(self, calls: list[bytes]) -> None:
        frame = join_frame(self._delivered, calls)
        self._out.append(frame)
        self._out_bytes += len(frame)
        self._reported = self._delivered


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: WorkerLoop, *_args: object, **_kwargs: object) -> Any:
        raise Eperm(f"a worker has no {name}: everything outside is a system call of proc", call=name)

    return refuse


_REFUSED = (
    "run_in_executor", "set_default_executor", "add_reader", "remove_reader", "add_writer", "remove_writer",
    "subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe", "create_connection",
    "create_server", "create_datagram_endpoint", "create_unix_connection", "create_unix_server",
    "connect_accepted_socket", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall",
    "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile", "sendfile", "start_tls", "getaddrinfo",
    "getnameinfo", "set_task_factory",
)  # fmt: skip
for _name in _REFUSED:
    setattr(WorkerLoop, _name, _refusal(_name))
