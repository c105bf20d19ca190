"""What is said of money where something begins: what it may spend, and what earlier runs of it took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prytany.abi.control import AccountRow
from prytany.abi.ids import Pid, format_pid
from prytany.cli.amounts import words_of
from prytany.cli.attached import duration
from prytany.cli.text import note
from prytany.cli.totals import money
from prytany.system.estimating import Estimate, Spread, of_table

if TYPE_CHECKING:
    from prytany.client import Client
    from prytany.system.shard import Shard

SHOWN = 10
"""Processes of which it is said, of many that begin at once."""


def say_may_spend(shard: Shard, pid: int, as_json: bool) -> None:
    """Of a run that has just begun here."""
    from prytany.kernel.budget_views import account_rows

    kernel = shard.kernel
    state, p = kernel.ledger.state, kernel.table.require(pid)
    say_accounts(account_rows(state, pid, "", kernel, kernel.now_ns()), pid, as_json)
    member = state.fleets.members.get(pid)
    fleet, agent = (state.fleets.fleets[member.fleet].name, member.agent) if member is not None else ("", "")
    if (found := of_table(state, p.program, fleet, agent)) is not None:
        note(f"earlier runs of it: {words_of_estimate(found)}", as_json, run=pid, estimate=found)


async def tell_may_spend(client: Client, pids: Sequence[int], as_json: bool, **facts: int) -> None:
    """Of what has begun on a kernel."""
    for pid in pids[:SHOWN]:
        say_accounts(await client.budgets(pid), pid, as_json, **facts)


def say_accounts(rows: Sequence[AccountRow], pid: int, as_json: bool, **facts: int) -> None:
    """What each account bounds; `facts` are for programs."""
    name = format_pid(Pid(pid))
    whose = {"process": f"process {name}", "tree": f"process {name} and all below it", "run": f"run {name}"}
    parts: list[str] = []
    for row in rows:
        kind = row.account.partition(":")[0]
        parts.append(f"{whose.get(kind, 'all that runs in this home')} may spend {words_of(row.total, row.minute)}")
    text = "; ".join(parts) or f"run {name} may spend what it likes: it has no budget"
    note(
        text,
        as_json,
        run=pid,
        **facts,
        budget={row.account: {"total": row.total, "minute": row.minute} for row in rows},
    )


def words_of_estimate(found: Estimate) -> str:
    """What the next run will take, in words."""
    runs = f"{found.runs} run{'s' if found.runs > 1 else ''}"
    failed = f", of which {found.failed} failed" if found.failed else ""
    if found.runs == 1:
        took = (
            f"{found.tokens.median:,} tokens, {money(found.cost_usd_micros.median)},"
            f" {found.model_calls.median:,} calls of models, {duration(found.wall_ms.median * 1_000_000)}"
        )
        return f"{runs}{failed}, which took {took}"
    return (
        f"{runs}{failed}, which took {_range(found.tokens, '{:,}')} tokens,"
        f" {money(found.cost_usd_micros.median)} ({money(found.cost_usd_micros.least)} to"
        f" {money(found.cost_usd_micros.most)}), {_range(found.model_calls, '{:,}')} calls of models,"
        f" {duration(found.wall_ms.median * 1_000_000)}, in the median and from least to most"
    )


def _range(spread: Spread, form: str) -> str:
    return f"{form.format(spread.median)} ({form.format(spread.least)} to {form.format(spread.most)})"
