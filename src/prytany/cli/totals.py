"""What was taken, in words."""

from __future__ import annotations

from prytany.abi.control import UsageRow


def money(usd_micros: int) -> str:
    """An amount in US dollars."""
    return f"${usd_micros / 1e6:.6f}".rstrip("0").rstrip(".") if usd_micros else "$0"


def total_line(took: UsageRow) -> str:
    """What a run took, on one line."""
    processes = f"{took.processes} process" + ("" if took.processes == 1 else "es")
    tokens = f"{took.prompt_tokens} + {took.completion_tokens} tokens"
    calls = f"{took.calls} call" + ("" if took.calls == 1 else "s")
    queued = f", {took.queued_us / 1e6:.1f} s in queues" if took.queued_us else ""
    return (
        f"{processes}, {calls}, {took.model_calls} of a model, {tokens}, {money(took.cost_usd_micros)},"
        f" {took.cpu_us / 1e6:.2f} s of processor, {took.model_us / 1e6:.1f} s of model{queued}"
    )
