"""What a run will take, by what earlier runs of the same took: medians and ranges of those that ended and are kept.

Looked up in the table of processes, in which ended runs are kept for a week, ten thousand at most; so it costs what is
kept, and knows nothing of what was let go.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import msgspec

from prytany.abi.control import ProcessRow
from prytany.kernel.state import ShardState
from prytany.process.process import Process, State

OK = 0


class Spread(msgspec.Struct, kw_only=True, frozen=True):
    """One quantity, over some runs."""

    least: int
    median: int
    most: int

    @classmethod
    def of(cls, values: Iterable[int]) -> Spread:
        """Over at least one."""
        ordered = sorted(values)
        return cls(least=ordered[0], median=int(median(ordered)), most=ordered[-1])


class Estimate(msgspec.Struct, kw_only=True, frozen=True):
    """From `runs` earlier ones, of which `failed` ended with another status than 0."""

    runs: int
    failed: int
    tokens: Spread
    cost_usd_micros: Spread
    model_calls: Spread
    wall_ms: Spread


class Sample(msgspec.Struct):
    """One earlier run."""

    tokens: int = 0
    cost_usd_micros: int = 0
    model_calls: int = 0
    wall_ms: int = 0
    status: int = OK


def estimate(samples: Iterable[Sample]) -> Estimate | None:
    """What the next one will take; None where there is no earlier one that asked a model."""
    found = [sample for sample in samples if sample.model_calls]
    if not found:
        return None
    return Estimate(
        runs=len(found), failed=sum(sample.status != OK for sample in found),
        tokens=Spread.of(sample.tokens for sample in found),
        cost_usd_micros=Spread.of(sample.cost_usd_micros for sample in found),
        model_calls=Spread.of(sample.model_calls for sample in found),
        wall_ms=Spread.of(sample.wall_ms for sample in found),
    )  # fmt: skip


def of_table(state: ShardState, program: str, fleet: str = "", agent: str = "") -> Estimate | None:
    """By the ended runs of a kernel's table which began with that program, or with that agent of fleets of that name.
    Looks at each process once."""
    fleets, members = state.fleets.fleets, state.fleets.members

    def same(p: Process) -> bool:
        member = members.get(p.pid)
        if member is None:
            return not fleet and p.program == program
        return (fleets[member.fleet].name, member.agent) == (fleet, agent)

    found: dict[int, Sample] = {}
    for p in state.table.processes.values():
        if p.pid == p.run and p.state is State.TERMINATED and same(p):
            found[p.pid] = _begun(p)
    for p in state.table.processes.values():
        if (sample := found.get(p.run)) is not None:
            for usage in (p.usage, p.below):
                sample.tokens += usage.prompt_tokens + usage.completion_tokens
                sample.cost_usd_micros += usage.cost_usd_micros
                sample.model_calls += usage.model_calls
    return estimate(found.values())


def of_rows(rows: Iterable[ProcessRow], program: str, fleet: str = "", agent: str = "") -> Estimate | None:
    """The same by the rows of `Client.ps`."""
    found: list[Sample] = []
    for row in rows:
        if row.pid != row.run or row.state != State.TERMINATED or row.tree is None:
            continue
        if (row.fleet, row.agent) != (fleet, agent) or (not fleet and row.program != program):
            continue
        took = row.tree
        tokens, wall_ms = took.prompt_tokens + took.completion_tokens, row.wall_us // 1000
        found.append(Sample(tokens, took.cost_usd_micros, took.model_calls, wall_ms, row.status))
    return estimate(found)


def _begun(root: Process) -> Sample:
    wall_ms = (root.ended_ns - root.started_ns) // 1_000_000 if root.started_ns else 0
    return Sample(wall_ms=wall_ms, status=root.status)
