"""`models`: what the local model needs."""

from __future__ import annotations

from rich.progress import Progress

from prytany.abi.errors import Eio
from prytany.drivers.models.weights import WeightsUnavailable, fetch_weights, find_weights


def fetch_with_bar() -> None:
    """Fetch the weights unless they are here."""
    found = find_weights()
    if found is not None:
        print(f"the local model is here: {found}")
        return
    with Progress() as bar:
        task = bar.add_task("local model", total=None)
        try:
            path = fetch_weights(lambda done, total: bar.update(task, completed=done, total=total or None))
        except WeightsUnavailable as error:
            raise Eio(str(error)) from None
    print(f"the local model is at {path}, its sha256 as expected")
