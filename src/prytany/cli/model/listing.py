"""`models list`: which models there are."""

from __future__ import annotations

from pathlib import Path

from prytany.cli.model.fleets import fleet_of
from prytany.cli.text import json_line, note, safe
from prytany.system.model_files import own_folder
from prytany.system.model_rows import ModelRow, list_models

MEGABYTE = 1_000_000


def show_models(fleet: Path | None, as_json: bool) -> None:
    """A line a model; `*` is before the one that is asked by default. Raises FleetError."""
    rows, wrong = list_models(fleet_of(fleet))
    if not as_json:
        width = min(32, max(len(safe(row.name)) for row in rows))
        print(f"  {'NAME':<{width}} {'FROM':<11} {'DRIVER':<8} {'MB':>7}  WHAT IS KNOWN")
        for row in rows:
            print(_line(row, width))
        note(f"files of your own are looked for in {own_folder()}", as_json)
    else:
        for row in rows:
            print(json_line(row))
    if wrong:
        note(f"what is asked by default cannot be said: {wrong}", as_json)


def _line(row: ModelRow, width: int) -> str:
    size = f"{row.bytes / MEGABYTE:.0f}" if row.bytes else ""
    said = [
        f"NOT READY: {row.fault}" if row.fault else "",
        row.path,
        f"{row.model} at {row.endpoint}" * bool(row.model),
    ]
    if row.name == "local" and row.ready and row.source == "prytany":
        said.append("sha256 not checked")
    if row.key is not None:
        said.append("its key is there" if row.key else "no key")
    if row.prices is not None and row.driver == "openai":
        said.append(f"${row.prices.usd_per_million_in:g} in, ${row.prices.usd_per_million_out:g} out a million tokens")
    elif row.driver == "openai":
        said.append("price not known")
    if row.concurrency is not None:
        said.append(f"{row.concurrency} at a time")
    if row.requests_per_minute is not None:
        said.append(f"{row.requests_per_minute} requests a minute")
    if row.tokens_per_minute is not None:
        said.append(f"{row.tokens_per_minute} tokens a minute")
    said += [row.policy or "", f"{row.routes} routes" * bool(row.routes)]
    said.append(f"{' or '.join(row.fallback)} while it cannot be asked" * bool(row.fallback))
    known = ", ".join(filter(None, said))
    first = f"{'*' if row.default else ' '} {safe(row.name):<{width}}"
    return safe(f"{first} {row.source:<11} {row.driver:<8} {size:>7}  {known}").rstrip()
