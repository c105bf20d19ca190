"""The tools of a shop: a price can be looked up as often as one likes, a parcel is sent once."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Literal

from prytany import tool

PRICES = {"tea": 450, "cups": 1200}
Sku = Literal["tea", "cups"]


@tool(effect="pure")
def price(sku: Sku) -> int:
    """What an article costs, in cents.

    Args:
        sku: the article.
    """
    return PRICES[sku]


@tool(secrets=("SHOP_KEY",), resources=("orders/{order_id}",))
def ship(order_id: str, sku: Sku) -> str:
    """Send an article to whoever ordered it.

    Args:
        order_id: the order's number.
        sku: the article.
    """
    label = sha256(f"{os.environ['SHOP_KEY']} {order_id} {sku}".encode()).hexdigest()[:8]
    print(f"label {label} for order {order_id}")
    return f"{order_id}: sent under label {label}"
