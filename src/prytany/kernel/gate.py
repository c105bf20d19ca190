"""The gate: may this process make this call? Pledge, then capability, policy and approval, each in its place.

Nothing is held yet when the gate decides, and a denial is an event too.
"""

from __future__ import annotations

from prytany.abi.syscalls import TABLE
from prytany.abi.values import pack_error
from prytany.process.process import Process

BEYOND = {
    "process": "the process's share of the journal is used up",
    "tenant": "its tenant's share of the journal is used up; content of ended processes can be forgotten",
    "history": "the history of this incarnation has reached its bound",
}
"""What is said of each bound of the journal."""
UNKNOWN = "?"
"""How a call is recorded that is not in the table: its name is the worker's own words, and could fill the journal."""


def deny(process: Process, call: str) -> str | None:
    """The errno with which `call` is refused, or None when it may go on.

    A call that is not in the table is refused as one that is not pledged: a worker that makes up names learns nothing.
    """
    spec = TABLE.get(call)
    if spec is None:
        return "EPERM"
    if spec.pledge and spec.pledge not in process.pledge:
        return "EPERM"
    return None


def denial(call: str, cause: str = "") -> str:
    """What is said of a refusal: the same words live and in replay."""
    if cause:
        return BEYOND[cause]
    spec = TABLE.get(call)
    if spec is None:
        return "there is no such system call"
    if call == "process_spawn" and spec.pledge:
        return "process_spawn needs the pledge 'proc', and to start an agent of the fleet, that `spawns` names it"
    if call == "agent_handoff":
        return "agent_handoff needs that `handoff` of the caller's agent names the other, which is there"
    if call == "tool_call":
        return "tool_call needs the pledge 'tools' and a tool that was granted to the run; one of the two is not there"
    return f"{call} needs the pledge {spec.pledge!r}, which this process has not made"


def denied_value(call: str, cause: str = "") -> bytes:
    """What a denied call is answered with."""
    return pack_error(denial(call, cause), {"cause": cause} if cause else {})
