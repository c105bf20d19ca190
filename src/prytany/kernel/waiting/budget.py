"""Budgets: a process that is stopped for want of one, and a call that waits until something of one is given back."""

from __future__ import annotations

from prytany.abi.budgets import KINDS, NONE
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.accounts import stopped_by
from prytany.kernel.budget_views import owner_of
from prytany.kernel.waiting.edge import Cause, Look
from prytany.process.process import OpenCall, Process
from prytany.scheduling.budgets import Account
from prytany.scheduling.spending import may_reserve
from prytany.scheduling.words import span

ADDED = {"tokens": 10_000, "usd_micros": 1_000_000, "calls": 10}
"""What is proposed to be added, at least."""
WORDS = {"tokens": "tokens", "usd_micros": "dollars", "calls": "calls"}


def stopped(look: Look, p: Process) -> Cause | None:
    """It is stopped: a call of it can never be paid for as the account is bounded, or the account's time is up."""
    if not (name := stopped_by(p)):
        return None
    account = look.state.budgets.get(name)
    if account is None:
        return Cause("budget", f"it was stopped for want of {name}, which is no more", help=(_unpause(p),))
    most = [call.reserved for call in p.open.values() if call.reserved is not None]
    needs = f", and its calls may take {sum(m.prompt_tokens + m.completion_tokens for m in most):,} tokens" * bool(most)
    text = f"it is stopped ({p.reason}); now {_of(name, account, look.now_ns)}{needs}"
    return Cause("budget", text, help=(_add(p, account, look.now_ns),))


def parked(look: Look, p: Process, n: int, call: OpenCall) -> Cause | None:
    """Calls under way have set aside what it needs, or the last minute has taken it."""
    if look.live is None or not call.queued_ns:
        return None
    scheduler = look.live.model_turns.scheduler
    name = scheduler.parked.account(call.seq)
    wanted, account = scheduler.get(call.seq), look.state.budgets.get(name)
    if not name or wanted is None or account is None:
        return None
    verdict = may_reserve(look.state.budgets, wanted.accounts, wanted.amount, look.now_ns)
    others = scheduler.parked.waiting(name) - 1
    also = f"; {others} other call{'s wait' if others > 1 else ' waits'} for it" if others else ""
    until = "until calls under way give back what they do not take"
    if verdict.a_minute and verdict.at_ns:
        until = f"for {span(verdict.at_ns - look.now_ns)} at most, by what is bounded a minute"
    kind = verdict.kind if verdict.kind in KINDS else "tokens"
    needs = f"{_amount(kind, wanted.amount.of(kind))} {'call' if kind == 'calls' else WORDS[kind]}"
    text = f"the budget {_of(name, account, look.now_ns)}; it needs {needs}, {until}{also}"
    first = scheduler.parked.first(name)
    before = scheduler.get(first) if first is not None and first != call.seq else None
    if before is not None:
        text += f"; process {format_pid(Pid(before.call.agent))} is asked first"
    if verdict.a_minute and verdict.account == name:
        help_ = f"{_whose(p, name)} --set {_key(kind)}/min={_plain(kind, verdict.bound + wanted.amount.of(kind))}"
    else:
        help_ = _add(p, account, look.now_ns, of=name)
    return Cause("budget", text, call.queued_ns, help=(help_,))


def _of(name: str, account: Account, now_ns: int) -> str:
    parts: list[str] = []
    for kind, word in WORDS.items():
        if (bound := account.total.of(kind)) != NONE:
            owed = f", and owes {_amount(kind, account.debt(kind))}" if account.debt(kind) else ""
            parts.append(f"{_amount(kind, account.left(kind))} of {_amount(kind, bound)} {word}{owed}")
        if (bound := account.minute.of(kind)) != NONE:
            left = max(0, bound - account.within_minute(kind, now_ns))
            parts.append(f"{_amount(kind, left)} of {_amount(kind, bound)} {word} a minute")
    if (bound := account.total.processor_ms) != NONE:
        left_us = max(0, bound * 1_000 - account.processor_us)
        parts.append(f"{left_us / 1e6:.1f} of {bound / 1e3:.1f} s of processor")
    if account.ends_ns:
        left_ns = account.ends_ns - now_ns
        parts.append(f"{span(left_ns)} of its time" if left_ns > 0 else "none of its time")
    return f"{name} has left: {'; '.join(parts) or 'all that is asked'}"


def _amount(kind: str, value: int) -> str:
    return f"{value / 1e6:.6f}".rstrip("0").rstrip(".") if kind == "usd_micros" else f"{value:,}"


def _add(p: Process, account: Account, now_ns: int, of: str = "") -> str:
    """The command that lets it go on: it adds what its open calls can take, and what is owed."""
    most = [call.reserved for call in p.open.values() if call.reserved is not None]
    needs = {
        "tokens": sum(m.prompt_tokens + m.completion_tokens for m in most),
        "usd_micros": sum(m.cost_usd_micros for m in most), "calls": len(most),
    }  # fmt: skip
    found: list[str] = []
    for kind, need in needs.items():
        bound = account.total.of(kind)
        if bound == NONE or account.left(kind) - account.debt(kind) >= need:
            continue
        wanted = max(ADDED[kind], need + account.debt(kind) - account.left(kind))
        found.append(f"--add {_key(kind)}={_plain(kind, wanted)}")
    if (bound := account.total.processor_ms) != NONE and account.processor_us >= bound * 1_000:
        found.append(f"--add processor={60 + (account.processor_us - bound * 1_000) // 1_000_000}s")
    if account.ends_ns and account.ends_ns <= now_ns:
        late_s = (now_ns - account.ends_ns) // 1_000_000_000
        found.append(f"--add wall={late_s + 600}s")
    return " ".join([_whose(p, of), *(found or ["--set unlimited"])])


def _whose(p: Process, of: str) -> str:
    """The command for a budget of it: the one that stopped it, or the one that is named."""
    command = f"budget {format_pid(Pid(p.pid))}"
    return f"{command} --account {of.partition(':')[0]}" if of and owner_of(of) in (0, p.pid, p.run) else command


def _key(kind: str) -> str:
    return "usd" if kind == "usd_micros" else kind


def _plain(kind: str, value: int) -> str:
    if kind == "usd_micros":
        return f"{value / 1e6:.6f}".rstrip("0").rstrip(".")
    step = 1_000 if kind == "tokens" else 1
    return str(-(-value // step) * step)


def _unpause(p: Process) -> str:
    return f"unpause {format_pid(Pid(p.pid))}"
