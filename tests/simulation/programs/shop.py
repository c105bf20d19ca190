"""Tools that note in a file what they did."""

import os

from prytany import tool


def note(tally: str, line: str) -> None:
    if tally:
        with open(tally, "a") as file:
            print(line, file=file, flush=True)
            os.fsync(file.fileno())


@tool(effect="pure")
def price(tally: str, order: str) -> str:
    """What it costs."""
    note(tally, f"price {order}")
    return f"{order} costs 7"


@tool(effect="keyed")
def pay(tally: str, order: str, key: str) -> str:
    """Pay, once a key."""
    note(tally, f"pay {order} {key}")
    return f"{order} paid"


@tool(resources=("van",))
def ship(tally: str, order: str) -> str:
    """Send it off; nobody can take that back."""
    note(tally, f"ship {order}")
    return f"{order} sent"
