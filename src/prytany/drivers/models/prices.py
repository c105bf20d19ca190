"""What a call cost, in millionths of a US dollar.

Either the operator's own prices, or those of genai-prices where it is installed, or None: it must not guess, because a
budget in money rests on it, and it sends nothing anywhere (the list is in the package).

Source: genai-prices 0.2.3.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec

from prytany.ports.model import Usage


class Prices(msgspec.Struct, frozen=True):
    """US dollars a million tokens. A dollar a million is a millionth of a dollar a token."""

    usd_per_million_in: float
    usd_per_million_out: float

    def cost_usd_micros(self, usage: Usage) -> int:
        """Rounded up, so that many small calls do not add up to nothing."""
        cost = usage.prompt_tokens * self.usd_per_million_in + usage.completion_tokens * self.usd_per_million_out
        return math.ceil(round(cost, 6))


FREE = Prices(0.0, 0.0)


def listed_cost_usd_micros(usage: Usage, model: str, base_url: str, cached_tokens: int = 0) -> int | None:
    """The cost by genai-prices, found by the endpoint's address; None where provider or model is not known to it."""
    if not _is_listed(model, base_url):
        return None
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=min(cached_tokens, usage.prompt_tokens),
    )
    try:
        price = genai_prices.calc_price(counted, model, provider_api_url=base_url)
    except (LookupError, ValueError):
        return None
    return math.ceil(price.total_price * 1_000_000)


@lru_cache(maxsize=256)
def _is_listed(model: str, base_url: str) -> bool:
    """Whether there is a price at all. Kept: the search through the list costs more than the rest of an answer."""
    try:
        import genai_prices

        genai_prices.calc_price(genai_prices.Usage(), model, provider_api_url=base_url)
    except (ImportError, LookupError, ValueError):
        return False
    return True
