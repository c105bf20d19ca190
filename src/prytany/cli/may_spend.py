"""What is said of money where something begins: what it may spend, and what earlier runs of it took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
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


def say_estimates(found: Callable[[str], Estimate | None], fleet: str, agents: Iterable[str], as_json: bool) -> None:
    """Of agents of a fleet that is brought up, what earlier runs took that began with them."""
    known = [(agent, one) for agent in agents if (one := found(agent)) is not None]
    for agent, one in known[:SHOWN]:
        name = f"{fleet}.{agent}"
        note(f"earlier runs of {name}: {words_of_estimate(one)}", as_json, agent=name, estimate=one)


def say_of_fleet(shard: Shard, fleet: str, agents: Sequence[str], begun: Sequence[int], as_json: bool) -> None:
    """Of a fleet that is brought up here: of the runs that begin with it, and of its other agents."""
    for pid in begun[:SHOWN]:
        say_may_spend(shard, pid, as_json)
    names = {shard.kernel.table.require(pid).name for pid in begun}
    found = partial(of_table, shard.kernel.ledger.state, "", fleet)
    say_estimates(found, fleet, [agent for agent in agents if agent not in names], as_json)


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
