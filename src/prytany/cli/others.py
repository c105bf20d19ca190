"""What is changed of the fleets from other terminals, said where their kernel runs."""

from __future__ import annotations

from collections.abc import Sequence

from prytany.abi import events as ev
from prytany.cli.progress import Progress
from prytany.cli.text import safe


class Others:
    """Takes durable events; what the kernel's own terminal does is not among what is said."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.own = False
        """The kernel's own terminal brings a fleet."""

    def __call__(self, events: Sequence[ev.Event]) -> None:
        """The events of one entry."""
        if self.own:
            return
        for event in events:
            match event:
                case ev.FleetDeclared(stays=True):
                    changed = [f"agent {e.name}" for e in events if isinstance(e, ev.AgentDeclared)]
                    changed += [f"agent {e.name} is gone" for e in events if isinstance(e, ev.AgentWithdrawn)]
                    what = f": {', '.join(changed)}" if changed else ""
                    self._say(f"the fleet {event.name} was brought from elsewhere, by uid {event.uid}{what}")
                case ev.FleetWithdrawn():
                    for e in events:
                        if isinstance(e, ev.OperatorCommanded):
                            name = e.command.removeprefix("down ")
                            self._say(f"the fleet {name} was taken down from elsewhere, by uid {e.uid}")
                case _:
                    pass

    def _say(self, text: str) -> None:
        self._progress.announce(safe(text))
