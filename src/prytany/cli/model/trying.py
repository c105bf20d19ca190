"""`models try`: one short question."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prytany.abi.errors import Enoent, KernelError
from prytany.cli.failure import advised
from prytany.cli.home import find_home
from prytany.cli.model.fleets import fleet_of
from prytany.cli.text import json_line, note, safe
from prytany.cli.trusting import trusted
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.trust import digest_of, is_trusted, remember
from prytany.system.model_trial import PROMPT, SECONDS, TOKENS_MAX, Trial, model_alone, open_tried, try_model


def ask_once(
    name: str, prompt: str | None, fleet: Path | None, seconds: float | None, home: Path | None, as_json: bool, *,
    trust: bool,
) -> None:  # fmt: skip
    """Ask, and say what came. Raises Emodel, with what to do next, Enoent, Einval for what cannot be asked, and Eacces
    for a fleet's model that its operator does not trust, as they said in that home or say now."""
    limit = seconds or SECONDS
    resolved = fleet_of(fleet)
    if resolved is not None:
        _see_trust(resolved, name, find_home(home), trust, as_json)

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


def _see_trust(fleet: ResolvedFleet, name: str, home: Path, trust: bool, as_json: bool) -> None:
    """A fleet that is trusted as a whole is so with each of its models. Raises Eacces, Enoent."""
    try:
        alone = model_alone(fleet, name)
    except Enoent as error:
        raise advised(error, "prytany models list --fleet, with the fleet, shows which there are") from None
    if is_trusted(home, digest_of(fleet)):
        return
    digest = trusted(alone, (), home, trust, as_json)
    if digest and home.is_dir():
        remember(home, digest)
