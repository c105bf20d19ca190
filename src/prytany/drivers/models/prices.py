"""What a call cost, in millionths of a US dollar.

Either the operator's own prices, or those of genai-prices where it is installed, or None: it must not guess, because a
budget in money rests on it, and it sends nothing anywhere (the list is in the package).

Source: genai-prices 0.2.3.
"""

from __future__ import annotations

import math
from functools import lru_cache

from prytany.ports.model import Prices, Usage

__all__ = ["FREE", "Prices", "listed_cost_usd_micros", "listed_prices"]

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


def listed_prices(model: str, base_url: str) -> Prices | None:
    """The highest prices by genai-prices: some models ask more a token beyond a size, so a million is asked about."""
    given = listed_cost_usd_micros(Usage(1_000_000, 0), model, base_url)
    both = listed_cost_usd_micros(Usage(1_000_000, 1_000_000), model, base_url)
    if given is None or both is None:
        return None
    return Prices(given / 1_000_000, (both - given) / 1_000_000)


@lru_cache(maxsize=256)
def _is_listed(model: str, base_url: str) -> bool:
    """Whether there is a price at all. Kept: the search through the list costs more than the rest of an answer."""
    try:
        import genai_prices

        genai_prices.calc_price(genai_prices.Usage(), model, provider_api_url=base_url)
    except (ImportError, LookupError, ValueError):
        return False
    return True
