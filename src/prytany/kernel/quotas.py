"""Quotas: what a process and its tenant may put into the journal, and how long a history may grow.

A call that would go beyond is refused with EDQUOT, which is a denial: the first of a kind is recorded by itself, and
repeats are counted. The end of a process is never refused, and nothing that the kernel or its operator does is.

A call that was begun within its share may bring its result: a small one always, a large one only within the share; a
stream ends at its first piece beyond it. So a share can be overdrawn by the calls in flight, each by
`limits.OVERDRAFT_BYTES_MAX`, by the answer of one call that is decided at once, and by what a process leaves when it
ends.
"""

from __future__ import annotations

from typing import NamedTuple

from prytany.abi import limits
from prytany.process.process import Process
from prytany.process.table import Table


class Quotas(NamedTuple):
    """The bounds of one kernel."""

    process_bytes: int = limits.PROCESS_JOURNAL_BYTES
    tenant_bytes: int = limits.TENANT_JOURNAL_BYTES
    history_calls_warn: int = limits.HISTORY_CALLS_WARN
    """Recorded calls of one incarnation."""
    history_calls_max: int = limits.HISTORY_CALLS_MAX
    refusals_max: int = limits.REFUSALS_MAX
    """Denied calls of one incarnation, or since its record was cut, after which it is ended."""
    ended_run_ms: int = limits.ENDED_RUN_MS
    """How long a run that has ended is listed."""
    context_bytes: int = 0
    """Of contexts that are held in memory; 0 is `limits.CONTEXT_CACHE_BYTES`."""

    def full(self, process: Process, table: Table, size_bytes: int) -> str:
        """Whose share has no room for `size_bytes` more: `process`, `tenant`, or "" for nobody's."""
        if process.journal_bytes + size_bytes > self.process_bytes:
            return "process"
        return "tenant" if table.journal_bytes + size_bytes > self.tenant_bytes else ""

    def beyond(self, process: Process, table: Table, size_bytes: int) -> str:
        """Which bound refuses a call with `size_bytes` of arguments, or ""."""
        if process.history >= self.history_calls_max:
            return "history"
        return self.full(process, table, size_bytes)


DEFAULT_QUOTAS = Quotas()
