"""What the journal's events say of one process: its calls, its messages, its children, and what an operator did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from prytany.abi import events as ev
from prytany.cli.traced_scheduling import said_of

FACTS = (
    "n", "call", "context", "origin", "node", "errno", "status", "signal", "reason", "model", "took_us", "cause",
    "tool", "effect", "kind", "command", "choice", "uid", "number", "sender", "receiver", "name", "program",
    "incarnation", "contents", "freed_bytes", "estimated", "what", "value", "account", "qos",
    "by", "agent",
)  # fmt: skip
"""Fields that are worth a look, where they hold anything."""
TOOK = ("prompt_tokens", "completion_tokens", "cost_usd_micros")
BEGINS_AGAIN = (ev.ProcessReady, ev.ProcessFailed, ev.ProcessExeced, ev.ProcessUpgraded, ev.ProcessReverted,
                ev.ProcessHandedOff)  # fmt: skip


class Line(NamedTuple):
    """One event, without its version, and what it says."""

    event: str
    facts: dict[str, Any]


class _Open(NamedTuple):
    call: str
    opened_ns: int


class Traced:
    """Told of the journal's entries in their order. It keeps what is open, which messages and which children there are,
    and nothing else."""

    def __init__(self, pid: int, calls: frozenset[str] = frozenset()) -> None:
        """Of `pid`; of its calls by these names alone, if there are any."""
        self._pid = pid
        self._calls = calls
        self._open: dict[int, _Open] = {}
        self._sent: set[int] = set()
        self._children: set[int] = set()
        self.known = False
        self.ended = False

    def take(self, entry: ev.Entry) -> Iterator[Line]:
        """What an entry says of the process."""
        for event in entry.events:
            if not self._concerns(event):
                continue
            self.known = True
            facts = _facts(event)
            self._add(facts, event, entry)
            if not self._calls or facts.get("call") in self._calls:
                yield Line(str(event.__struct_config__.tag).partition("/")[0], facts)

    def _concerns(self, event: ev.Event) -> bool:
        """Whether it is about the process, one of its children's beginning or end, or a message from or to it."""
        pid = self._pid
        match event:
            case ev.MessageSent():
                if event.sender == pid:
                    self._sent.add(event.number)
                return pid in (event.sender, event.receiver)
            case ev.MessageTaken() | ev.MessageDead() | ev.MessageReturned():
                return event.receiver == pid or event.number in self._sent
            case ev.MessageAwaited():
                return event.receiver == pid
            case ev.ProcessSpawned():
                if event.parent == pid:
                    self._children.add(event.pid)
                return pid in (event.pid, event.parent)
            case ev.ProcessExited():
                return event.pid == pid or event.pid in self._children
            case ev.ProcessReaped():
                mine = event.pid in self._children
                self._children.discard(event.pid)
                return mine or event.pid == pid
            case ev.BudgetGranted() | ev.BudgetAdded():
                return event.account in (f"process:{pid}", f"tree:{pid}", f"run:{pid}")
            case _:
                return bool(getattr(event, "pid", None) == pid)

    def _add(self, facts: dict[str, Any], event: ev.Event, entry: ev.Entry) -> None:
        """Add what other events say of the same call, and what was decided of it."""
        match event:
            case ev.CallOpened():
                self._open[event.n] = _Open(event.call, entry.time_ns)
                facts["decision"] = "opened" if _begins(event, entry) else "queued"
                if event.subject and event.call == "process_wait":
                    facts["child"] = event.subject
            case ev.CallDone():
                facts["decision"] = "at once"
            case ev.CallClosed():
                found = self._open.pop(event.n, None)
                if found is not None:
                    facts |= {"call": found.call, "took_us": (entry.time_ns - found.opened_ns) // 1000}
                facts["decision"] = "answered"
            case ev.CallPaced():
                facts["decision"] = "queued" if event.waits else "begins"
            case ev.CallsDenied():
                facts |= {"n": event.ns[0] if event.ns else 0, "times": len(event.ns), "decision": "denied"}
            case ev.MessageSent():
                facts.pop("call")  # the sender's, by its number
                if event.sender == self._pid:
                    facts |= _sent_by(event, entry)
            case ev.MessageTaken() if event.receiver != self._pid:
                facts.pop("n")  # a call of the receiver's
            case ev.ProcessSpawned() | ev.ProcessExited() | ev.ProcessReaped() if event.pid != self._pid:
                facts["child"] = event.pid
            case ev.ProcessExited():
                self.ended = True
            case _:
                if isinstance(event, BEGINS_AGAIN):
                    self._open.clear()
        if "n" in facts and (open_call := self._open.get(facts["n"])) is not None:
            facts.setdefault("call", open_call.call)


def _sent_by(sent: ev.MessageSent, entry: ev.Entry) -> dict[str, Any]:
    """The call that sent a message: one that waits for the reply, or one that was done in the same entry."""
    if sent.call:
        return {"n": sent.call, "call": "message_call"}
    for e in entry.events:
        if isinstance(e, ev.CallDone) and (e.pid, e.call) == (sent.sender, "message_send"):
            return {"n": e.n, "call": e.call}
    return {}


def _begins(opened: ev.CallOpened, entry: ev.Entry) -> bool:
    """Whether the effect begins with its intent; it may wait for its agent's rate, a tool's for a resource."""
    if any(isinstance(e, ev.CallPaced) and (e.pid, e.n, e.waits) == (opened.pid, opened.n, True) for e in entry.events):
        return False
    if opened.call != "tool_call":
        return not any(isinstance(e, ev.ModelQueued) and (e.pid, e.n) == (opened.pid, opened.n) for e in entry.events)
    return any(isinstance(e, ev.ToolStarted) and (e.pid, e.n) == (opened.pid, opened.n) for e in entry.events)


def _facts(event: ev.Event) -> dict[str, Any]:
    """What is worth a look; digests in hexadecimal, those of content left out."""
    found: dict[str, Any] = {
        name: value
        for name in FACTS
        if (value := getattr(event, name, None)) not in (None, "", b"") and value is not False
    }
    if found.get("uid") == -1:
        del found["uid"]  # nobody's
    if isinstance(event, ev.ModelUsed | ev.ModelReserved):
        found |= {name: getattr(event, name) for name in TOOK}
    if (said := said_of(event)) is not None:
        found |= said
        if isinstance(sender := found.get("sender"), int) and sender < 0:  # an operator
            del found["sender"]
            found["uid"] = -1 - sender
    facts: dict[str, Any] = {name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()}
    source, nodes = getattr(event, "source", None), getattr(event, "nodes", ())
    if isinstance(source, ev.Source):
        facts["from"] = ":".join(filter(None, (source.kind, source.name)))
    if nodes:
        facts["nodes"] = " ".join(f"{node.role}={node.node.hex()}" for node in nodes)
    return facts
