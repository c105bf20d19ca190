"""Notices: the kinds of what people outside can be told of."""

from __future__ import annotations

DOUBT = "doubt"
"""An effect may have happened, and nobody knows: incidents `doubt` and `abandoned`."""
INCIDENT = "incident"
"""Everything else that waits for a person: a refused key, EREPLAY, a contained fault, a missing record."""
FAILURE = "failure"
"""A run failed, or a process that has used up its restarts."""
STORM = "storm"
"""An agent's processes fail and are begun again, many times in a minute."""
LIMIT = "limit"
"""A bound was reached, or is near: a share of the journal, a history, the disk."""
BUDGET = "budget"
"""A process was stopped, since a budget of it has run out."""

KINDS = (DOUBT, INCIDENT, FAILURE, STORM, LIMIT, BUDGET)
TEST = "test"
"""Of a notice that an operator sends to try a channel; no journal has one."""
