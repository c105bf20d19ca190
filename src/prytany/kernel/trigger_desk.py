"""What an operator sees of triggers, and switches."""

from __future__ import annotations

from typing import Protocol

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Einval, Enoent
from prytany.kernel.ledger import Ledger
from prytany.kernel.state import ShardState
from prytany.supervision.triggers import Trigger


class Core(Protocol):
    """The kernel, as this sees it."""

    ledger: Ledger


def trigger_rows(state: ShardState) -> list[control.TriggerRow]:
    """All, by fleet and name."""
    found = sorted(state.triggers.triggers.values(), key=lambda one: (one.fleet, one.name))
    return [_row(state, one) for one in found]


def _row(state: ShardState, one: Trigger) -> control.TriggerRow:
    fleet, spec = state.fleets.fleets.get(one.fleet), one.spec
    every = [f"{spec.every_ms} ms"] if spec.kind == "every" else []
    zone = [spec.zone] if spec.kind == "cron" else []
    return control.TriggerRow(
        fleet=fleet.name if fleet is not None else str(one.fleet), name=one.name, kind=spec.kind,
        waits_for=every or [*spec.on, *zone], agent=spec.agent, on=one.on, next_ns=one.wake_ns, queued=len(one.queue),
        running=list(one.running), fired=one.fired, skipped=one.skipped,
        last=[control.FiringRow(time_ns=f.time_ns, pid=f.pid, why=f.why) for f in one.last],
    )  # fmt: skip


def switch_trigger(k: Core, command: control.SwitchTrigger, uid: int) -> control.TriggerRow:
    """Switch it; one that is so already stays as it is. Raises Enoent, Einval."""
    state = k.ledger.state
    named = [one for one in state.triggers.triggers.values() if one.name == command.name]
    if command.fleet:
        named = [one for one in named if _row(state, one).fleet == command.fleet]
    if not named:
        raise Enoent(f"there is no trigger {command.name[:100]!a}")
    if len(named) > 1:
        fleets = ", ".join(_row(state, one).fleet for one in named)
        raise Einval(f"several fleets have a trigger of that name: {fleets}")
    trigger = named[0]
    if trigger.on != command.on:
        said = f"trigger {'on' if command.on else 'off'} {trigger.name}"
        switched = ev.TriggerSwitched(trigger.fleet, trigger.name, command.on)
        k.ledger.commit((ev.OperatorCommanded(uid, said, 0), switched), {}, payer=0)
    return _row(state, trigger)
