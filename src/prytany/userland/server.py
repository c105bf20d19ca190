"""`Server`: a program that answers messages, one after the other, and whose state outlives it.

    class Counter(Server):
        pledge = "ipc"
        state: int = 0

        async def on_add(self, n: int) -> int:
            self.state += n
            return self.state

Each message is one activation: it is received, its handler runs, and reply, state and the end of the message are
recorded as one. What was finished is never begun again; whoever comes after begins from the last state. So nothing but
the state is kept from one message to the next: each activation has a fresh object, and its leftover tasks are ended.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Coroutine, Hashable
from functools import cache
from typing import Any, ClassVar, NamedTuple, cast, get_type_hints

import msgspec

from prytany.abi import limits
from prytany.abi.topics import REST, matches
from prytany.userland.messages import Received
from prytany.userland.process import Process
from prytany.userland.topics import MARK, MISSED, marked_in, pattern_of, patterns_of


class Handler(NamedTuple):
    """An `on_<type>` method, and the record that its fields decode to."""

    method: Callable[..., Coroutine[Any, Any, Any]]
    fields: type[msgspec.Struct]


class Server:
    """Give it handlers, `async def on_<type>(self, ...)`, and perhaps a `state` with its type."""

    pledge: ClassVar[str] = "ipc"
    """The classes of system calls that it uses, `ipc` among them: a literal, read from the text."""
    version: ClassVar[int] = 0
    """Of the state's form; what `migrate` is told."""
    state: Any = None
    """Plain data, or what msgspec makes of it by the annotation: structs, dataclasses, sets, times."""
    proc: Process
    message: Received
    """The message in hand."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            if (name.startswith("on_") or hasattr(value, MARK)) and not inspect.iscoroutinefunction(value):
                raise TypeError(f"{cls.__name__}.{name} has to be `async def`")

    def init(self, proc: Process, *args: Any, **kwargs: Any) -> Any:
        """The first state, from what the server was spawned with; may be `async def`. The class's `state` as it is."""
        if args or kwargs:
            raise TypeError(f"{type(self).__name__} takes no arguments: it has no `init`")
        return self.state

    @classmethod
    def migrate(cls, state: Any, version: int) -> Any:
        """The state, from that of another `version`, as plain data. If it raises, the old program goes on."""
        return state

    @classmethod
    async def serve(cls, proc: Process, *args: Any, **kwargs: Any) -> None:
        """Receive, handle, finish, for ever. What the worker runs.

        Raises:
            TypeError: the state is no plain data, or not what its annotation says.
        """
        proc.history.cut()
        state = await cls._begin(proc, args, kwargs)
        while True:
            server = cls._with(proc, state)
            server.message = message = await proc.receive()
            handler, fields, why = _dispatch(cls, message)
            if why and not message.awaited:  # nobody is told, so its log says it
                proc.log(f"message {message.number} of type {message.topic or message.type} is refused: {why}")
            if handler is None and not why:
                proc.log(f"{message.body['count']} events were missed: the mailbox was full for too long")
            reply = None if handler is None else await handler.method(server, **fields)
            # A rejected message leaves the state as it was: nothing of the program ran.
            state = await cls._finish(proc, server.state, f"on_{message.type}", message.number, reply, why)

    @classmethod
    async def _begin(cls, proc: Process, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packed = proc.history.state
        if packed is None or proc.history.migrating:
            for pattern in patterns_of(cls):
                await proc.subscribe(pattern)
        if packed is None:
            made = cls._with(proc, copy.deepcopy(cls.state)).init(proc, *args, **kwargs)
            return await cls._finish(proc, await made if inspect.isawaitable(made) else made, "init")
        if proc.history.migrating:
            version, old = msgspec.msgpack.decode(packed)
            return await cls._finish(proc, cls.migrate(old, version), "migrate")
        return _unpacked(cls, packed, "the start")

    @classmethod
    def _with(cls, proc: Process, state: Any) -> Server:
        server = cls()
        server.proc, server.state = proc, state
        return server

    @classmethod
    async def _finish(
        cls, proc: Process, state: Any, after: str, message: int = 0, reply: Any = None, reject: str = ""
    ) -> Any:
        """Record the end of an activation; the state as whoever begins from the record sees it."""
        try:
            packed = msgspec.msgpack.encode([cls.version, state])
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise TypeError(f"the state of {cls.__name__} is no plain data after {after}: {error}") from None
        if len(packed) > limits.RESULT_BYTES_MAX:
            most = f"{limits.RESULT_BYTES_MAX} bytes are the most"
            raise TypeError(f"the state of {cls.__name__} has {len(packed)} bytes after {after}; {most}")
        kept = _unpacked(cls, packed, after)
        await proc.history.settle()
        await proc.calls.message_done(message, packed, reply, reject)
        proc.history.cut()
        return kept


def _key(cls: Any) -> Hashable:
    return cls  # type: ignore[no-any-return]  # a class is hashable, whatever its instances are


@cache
def _decoder(cls: Hashable) -> msgspec.msgpack.Decoder[Any]:
    form: Any = tuple[int, get_type_hints(cls).get("state", Any)]  # type: ignore[misc]
    return msgspec.msgpack.Decoder(form)


def _unpacked(cls: type[Server], packed: bytes, after: str) -> Any:
    try:
        return _decoder(_key(cls)).decode(packed)[1]
    except (msgspec.ValidationError, RecursionError) as error:
        raise TypeError(f"the state of {cls.__name__} is not what its annotation says after {after}: {error}") from None


@cache
def _handlers(cls: Hashable) -> dict[str, Handler]:
    named = {name: getattr(cls, name) for name in sorted(dir(cls)) if name.startswith("on_") and name != "on_event"}
    return {name[3:]: _handler(name, method) for name, method in named.items() if not hasattr(method, MARK)}


@cache
def _event_handlers(cls: Hashable) -> list[tuple[str, Handler]]:
    """By pattern, in the order in which the class and those that it is made of name them."""
    found = [(pattern, _handler(m.__name__, m, forbid=False)) for m in marked_in(cls) for pattern in pattern_of(m)]
    catches: Any = getattr(cls, "on_event", None)
    return [*found, (REST, _handler("on_event", catches, forbid=False))] if catches is not None else found


def _handler(name: str, method: Callable[..., Any], *, forbid: bool = True) -> Handler:
    hints = get_type_hints(method)
    fields: list[Any] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"{name} has to name its fields: no *args, **kwargs or positional-only ones")
        kind = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            default = msgspec.field(default_factory=_copies(parameter.default))
            fields.append((parameter.name, kind, default))
    return Handler(method, msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=forbid))


def _copies(value: Any) -> Callable[[], Any]:
    return lambda: copy.deepcopy(value)


def _dispatch(cls: type[Server], message: Received) -> tuple[Handler | None, dict[str, Any], str]:
    """Handler and fields for a message, or why it is rejected."""
    if message.topic:
        return _dispatch_event(cls, message)
    handlers = _handlers(_key(cls))
    if message.type == MISSED and not message.sender and MISSED not in handlers:
        return None, {}, ""
    handler = handlers.get(message.type)
    if handler is None:
        return None, {}, f"{cls.__name__} takes no {message.type!r}; it takes {', '.join(handlers) or 'nothing'}"
    try:
        fields = msgspec.convert(message.body, handler.fields)
    except msgspec.ValidationError as error:
        return None, {}, f"{cls.__name__}.on_{message.type}: {error}"
    return handler, {name: getattr(fields, name) for name in fields.__struct_fields__}, ""


def _dispatch_event(cls: type[Server], message: Received) -> tuple[Handler | None, dict[str, Any], str]:
    """The same for an event; of a body with fields, those that the handler names."""
    handler = next((one for pattern, one in _event_handlers(_key(cls)) if matches(pattern, message.topic)), None)
    if handler is None:
        return None, {}, f"{cls.__name__} has no handler for events of {message.topic!r}"
    told = {"topic": message.topic, "number": message.event, "body": message.body}
    body: Any = message.body
    given = told if not isinstance(body, dict) else {**cast("dict[str, Any]", body), **told}
    try:
        fields = msgspec.convert(given, handler.fields)
    except msgspec.ValidationError as error:
        return None, {}, f"{cls.__name__}.{handler.method.__name__}: {error}"
    return handler, {name: getattr(fields, name) for name in fields.__struct_fields__}, ""
