"""`models try`: one short question."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prytany.abi.errors import KernelError
from prytany.cli.failure import advised
from prytany.cli.model.fleets import fleet_of
from prytany.cli.text import json_line, note, safe
from prytany.system.model_trial import PROMPT, SECONDS, TOKENS_MAX, Trial, open_tried, try_model


def ask_once(name: str, prompt: str | None, fleet: Path | None, seconds: float | None, as_json: bool) -> None:
    """Ask, and say what came. Raises Emodel, with what to do next, and Enoent, Einval for what cannot be asked."""
    limit = seconds or SECONDS
    resolved = fleet_of(fleet)

    async def ask() -> Trial:  # a driver is made where it is used, as it may hold on to the loop
        model = open_tried(name, resolved)
        note(f"asking {name}, for {TOKENS_MAX} tokens and {limit:g} s at the most", as_json)
        return await try_model(name, model, PROMPT if prompt is None else prompt, seconds=limit)

    try:
        trial = asyncio.run(ask())
    except KernelError as error:
        at = f" --fleet {fleet}" if fleet else ""
        raise advised(error, f"prytany models list{at} shows which there are, and what each lacks") from None
    if as_json:
        print(json_line(trial))
        return
    print(safe(trial.text, lines=True) or "(no text)")
    speed = f", {trial.tokens_a_second:g} tokens a second" if trial.tokens_a_second else ""
    cut = f", cut at {TOKENS_MAX} tokens" if trial.finish == "length" else ""
    tokens = f"{trial.prompt_tokens} tokens in, {trial.completion_tokens} out{cut}"
    note(f"{trial.model}: {tokens}; first after {trial.first_ms} ms, all after {trial.took_ms} ms{speed}", as_json)
    if trial.cost_usd_micros is not None:
        note(f"it cost ${trial.cost_usd_micros / 1_000_000:g}", as_json)
    note(f"as far as its driver says, it can do: {', '.join(trial.features)}", as_json)
