"""The triggers of a fleet, as they are declared to the kernel, and what of them has to be trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from prytany.kernel.triggers_of_fleets import TriggerForm
from prytany.system.fleet.form_triggers import Trigger, kind_of, length_ms
from prytany.system.fleet.resolved import ResolvedFleet, within

DEBOUNCE_MS = 500


def triggers_of(fleet: ResolvedFleet) -> list[TriggerForm]:
    """All triggers of a fleet."""
    return [_form(name, trigger) for name, trigger in fleet.triggers.items()]


def _form(name: str, trigger: Trigger) -> TriggerForm:
    kind = kind_of(trigger)
    on = trigger.files if trigger.files is not None else [str(getattr(trigger, kind))]
    return TriggerForm(
        name=name, kind=kind, on=on, agent=trigger.agent, zone=trigger.zone or "UTC",
        every_ms=length_ms(trigger.every), how=trigger.deliver or "start", overlap=trigger.overlap or "skip",
        missed=trigger.missed or "once", at_once=trigger.at_once or 1, jitter_ms=length_ms(trigger.jitter),
        debounce_ms=length_ms(trigger.debounce, DEBOUNCE_MS) if kind == "files" else 0,
        args=msgspec.msgpack.encode(trigger.args) if trigger.args else b"",
    )  # fmt: skip


def watched_outside(fleet: ResolvedFleet) -> Iterator[str]:
    """In words, what is watched that is not in the fleet's folder."""
    for name, trigger in fleet.triggers.items():
        for pattern in trigger.files or ():
            place = pattern
            while any(sign in os.path.basename(place) or sign in os.path.dirname(place) for sign in "*?["):
                place = os.path.dirname(place)
            if not within(place, fleet.folder):
                yield f"the trigger {name} watches {pattern}, and tells {trigger.agent} which files change there"
