"""What bringing a fleet changes, as it is told to whoever brings it."""

from __future__ import annotations

import msgspec


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that bringing a fleet changes. No secret is in it."""

    sign: str
    """`+` is new, `~` changes, `-` goes."""
    kind: str
    """`fleet`, `agent`, `model`, `secret`, `tools` or `notify`."""
    name: str
    what: list[str] = []
    """Of what changes: the keys, with what they were and are where these are numbers or lists of names."""


class Plan(msgspec.Struct, kw_only=True):
    """What bringing a fleet changes, or changed: all of it, and by themselves the names of agents and of models."""

    fleet: str
    number: int
    """0 where it is new and was not brought."""
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    models: list[str] = []
    """Models that are new, changed or gone."""
    started: list[int] = []
    """The pids of what was started."""
    changes: list[Change] = []
    dry_run: bool = False
    """Nothing was changed."""

    @classmethod
    def of(cls, fleet: str, number: int, changes: list[Change], *, dry_run: bool) -> Plan:
        """The plan of these changes."""
        agents = {sign: sorted(c.name for c in changes if c.kind == "agent" and c.sign == sign) for sign in "+~-"}
        models = sorted(c.name for c in changes if c.kind == "model")
        return cls(
            fleet=fleet, number=number, added=agents["+"], changed=agents["~"], removed=agents["-"], models=models,
            changes=changes, dry_run=dry_run,
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Nothing changes."""
        return not self.changes
