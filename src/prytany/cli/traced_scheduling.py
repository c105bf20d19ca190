"""What `trace` says of scheduling: classes, turns at models, and budgets, in words."""

from __future__ import annotations

from typing import Any

from prytany.abi import events as ev
from prytany.abi.qos import Qos
from prytany.cli.amounts import amount_of, bounds_of, words_of

NAMES = {"tokens": "tokens", "usd_micros": "dollars", "calls": "calls", "wall_ms": "time", "processor_ms": "processor"}


def said_of(event: ev.Event) -> dict[str, Any] | None:
    """What is added to the facts of an event; None where it is none of scheduling."""
    match event:
        case ev.ProcessScheduled():
            deadline = "a deadline" if event.deadline_ns else "no deadline"
            qos = Qos(event.qos).name.lower() if event.qos in list(Qos) else str(event.qos)
            return {"qos": qos, "what": f"{qos}, weight {event.weight}, {deadline}", "deadline_ns": event.deadline_ns}
        case ev.ProcessSpawned() if event.qos in list(Qos):
            return {"qos": Qos(event.qos).name.lower()}
        case ev.ModelQueued():
            most = event.prompt_tokens + event.completion_tokens
            return {"what": f"waits for its turn, at most {most} tokens"}
        case ev.BudgetGranted():
            return {"what": f"may take {words_of(bounds_of(event.total), bounds_of(event.minute))}"}
        case ev.BudgetAdded():
            return {"what": f"and {words_of({k: v for k, v in bounds_of(event.more).items() if v}, {})} more"}
        case ev.BudgetExceeded():
            if event.kind.endswith("_ms"):
                return {"what": f"its {NAMES.get(event.kind, event.kind)} is up"}
            span = " a minute" if event.minute else ""
            left, bound = amount_of(event.kind, event.left), amount_of(event.kind, event.bound)
            return {"what": f"{left} of {bound} {NAMES.get(event.kind, event.kind)}{span} left"}
        case _:
            return None
