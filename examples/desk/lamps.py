"""What the desk knows of lamps."""

from prytany import tool

PRICES = {"reading": 4900, "desk": 7900}
ADVICE = {"reading": "The switch sits loose: press the bulb in until it clicks.", "desk": "Its fuse is under the foot."}


@tool(effect="pure")
def price(lamp: str) -> str:
    """What a lamp costs: `reading` or `desk`."""
    return f"{PRICES[lamp] / 100:.2f}" if lamp in PRICES else "There is no such lamp."


@tool(effect="pure")
def advice(lamp: str) -> str:
    """What helps with a lamp that does not work."""
    return ADVICE.get(lamp, "Nothing is known of that lamp.")
