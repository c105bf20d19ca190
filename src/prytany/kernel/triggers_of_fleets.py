"""Triggers of a fleet that is brought: which are new, others than before, or gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from prytany.abi import events as ev
from prytany.supervision.triggers import Triggers


class TriggerForm(NamedTuple):
    """A trigger as its fleet declares it; see `ev.TriggerSpec`."""

    name: str
    kind: str
    on: Sequence[str]
    agent: str
    zone: str
    every_ms: int
    how: str
    overlap: str
    missed: str
    at_once: int
    jitter_ms: int
    debounce_ms: int
    args: bytes


class Core(Protocol):
    """The kernel, as this sees it."""

    def digest(self, content: bytes) -> bytes:
        """The keyed digest of `content`."""
        ...


def trigger_events(
    k: Core, triggers: Triggers, number: int, forms: Sequence[TriggerForm], uid: int
) -> tuple[list[ev.Event], dict[bytes, bytes]]:
    """What is recorded of the triggers of fleet `number`: those that differ. One that stays as it is counts on."""
    had = {trigger.name: trigger for trigger in triggers.triggers.values() if trigger.fleet == number}
    events: list[ev.Event] = []
    contents: dict[bytes, bytes] = {}
    for form in forms:
        args = k.digest(form.args)
        spec = ev.TriggerSpec(
            form.kind, list(form.on), form.agent, form.zone, form.every_ms, form.how, form.overlap, form.missed,
            form.at_once, form.jitter_ms, form.debounce_ms, args,
        )  # fmt: skip
        there = had.pop(form.name, None)
        if there is None or there.spec != spec:
            events.append(ev.TriggerDeclared(number, form.name, spec, uid, args))
            contents |= {args: form.args} if args else {}
    events += [ev.TriggerWithdrawn(number, name) for name in had]
    return events, contents
