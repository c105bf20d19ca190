"""What is done for what came to a trigger: an agent is started, the one that lives is sent it, or nothing, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, KernelError
from prytany.abi.values import pack_error
from prytany.kernel.handlers.message import send_events
from prytany.kernel.ledger import Ledger
from prytany.kernel.outcome import Context
from prytany.process.process import Process
from prytany.supervision.triggers import Came, Trigger

MESSAGE = "message"
WORDS = frozenset({"trigger", "kind", "time", "topic", "number", "sender", "body", "path", "paths", "count"})
"""What can stand in an argument for what came."""
TRIGGERED = "triggered"
"""The type of the message that an agent is sent which lives."""


class Starter(Protocol):
    """What starts agents of fleets, as this sees it."""

    def start(
        self, number: int, name: str, args: list[object], kwargs: dict[str, object], *, uid: int,
        more: Sequence[ev.Event] = (),
    ) -> int:  # fmt: skip
        """Start an agent of a fleet as the root of a run; its pid. Raises KernelError."""
        ...


class Core(Context, Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger
    draining: bool

    @property
    def fleet_operator(self) -> Starter:
        """What starts agents."""
        ...


def fill_triggers(k: Core) -> bool:
    """See the module; one entry for the oldest of one trigger."""
    due = k.state.triggers.due
    if not due or k.draining:
        return False
    trigger = k.state.triggers.triggers[next(iter(due))]
    came, spec = trigger.queue[0], trigger.spec
    try:
        if spec.kind == MESSAGE or spec.how == MESSAGE:
            _pass_on(k, trigger, came)
        elif len(trigger.running) >= (spec.at_once if spec.overlap != "allow" else limits.TRIGGER_RUNNING_MAX):
            k.ledger.commit((ev.TriggerSkipped(trigger.fleet, trigger.name, "overlap"),), {}, payer=0)
        else:
            args, kwargs = _arguments(k, trigger, came)
            _start(k, trigger, args, kwargs, keeps=False)
    except KernelError as error:
        skipped = ev.TriggerSkipped(trigger.fleet, trigger.name, error.errno)
        told, contents = _refused(k, came, error)
        k.ledger.commit((skipped, *told), contents, payer=0)
    return True


def _start(k: Core, trigger: Trigger, args: list[Any], kwargs: dict[str, Any], *, keeps: bool) -> None:
    fired = ev.TriggerFired(trigger.fleet, trigger.name, k.table.next_number, trigger.fired + 1, keeps)
    k.fleet_operator.start(
        trigger.fleet, trigger.spec.agent, args, kwargs, uid=trigger.uid, more=(fired,)
    )  # fmt: skip


def _pass_on(k: Core, trigger: Trigger, came: Came) -> None:
    """To the process of the agent that lives; where none does, one is started first."""
    living = _living(k, trigger)
    if living is None:
        _start(k, trigger, [], {}, keeps=True)
        return
    fired = ev.TriggerFired(trigger.fleet, trigger.name, living.pid, trigger.fired + 1)
    if trigger.spec.kind == MESSAGE:
        if k.post.box(living.pid).full:
            raise Eagain("its mailbox is full")
        k.ledger.commit((fired,), {}, payer=0)
        return
    args, kwargs = _arguments(k, trigger, came)
    sent = send_events(k, -1 - trigger.uid, living, TRIGGERED, kwargs or args[0])
    k.ledger.commit((fired, *sent.events), {k.digest(content): content for content in sent.contents}, payer=0)


def _living(k: Core, trigger: Trigger) -> Process | None:
    for pid in k.state.names.pids(f"fleet:{trigger.fleet}", trigger.spec.agent):
        process = k.table.get(pid)
        if process is not None and process.alive:
            return process
    return None


def _refused(k: Core, came: Came, error: KernelError) -> tuple[tuple[ev.Event, ...], dict[bytes, bytes]]:
    """Who waits for the reply to a message that reaches nobody is told."""
    sender = k.table.get(came.sender) if came.call else None
    call = sender.open.get(came.call) if sender is not None else None
    if sender is None or call is None or call.seq != came.seq:
        return (), {}
    value = pack_error(f"the agent that this address starts could not be had: {error.message}", {"cause": error.errno})
    digest = k.digest(value)
    return (ev.CallClosed(sender.pid, came.call, "EPIPE", digest, sender.tail),), {digest: value}


def _arguments(k: Core, trigger: Trigger, came: Came) -> tuple[list[Any], dict[str, Any]]:
    """What an agent is given: what its trigger says, with what came in it; or what came, as its one argument."""
    told = what_came(k, trigger, came)
    if not trigger.spec.args:
        return [told], {}
    given: dict[str, Any] = msgspec.msgpack.decode(k.content(trigger.spec.args, trigger.seq))
    return [], {name: _filled(value, told) for name, value in given.items()}


def what_came(k: Context, trigger: Trigger, came: Came) -> dict[str, Any]:
    """What came to a trigger, for the program that is started by it."""
    moment = datetime.fromtimestamp(came.time_ns // 1_000_000_000, UTC).isoformat()
    told: dict[str, Any] = {"trigger": trigger.name, "kind": trigger.spec.kind, "time": moment}
    if came.body:
        content = msgspec.msgpack.decode(k.content(came.body, came.seq))
        names = ("topic", "number", "sender", "body") if came.topic else ("paths", "count")
        told |= {name: content[name] for name in names if name in content}
    if told.get("paths"):
        told["path"] = told["paths"][0]
    return told


def _filled(value: Any, told: dict[str, Any]) -> Any:
    """`<topic>` is the topic, `<body.bid>` a field of the body; what is not there is None, and all else as it is."""
    if not (isinstance(value, str) and value.startswith("<") and value.endswith(">")):
        return value
    names = value[1:-1].split(".")
    if names[0] not in WORDS:
        return value
    found: Any = told
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return found  # pyright: ignore[reportUnknownVariableType]
