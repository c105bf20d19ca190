"""A clerk that takes two orders: it looks up what they cost and has them shipped, by the operator's tools.

SHOP_KEY=… prytany run examples/orders/main.py:clerk --tools examples/orders/tools/shop.py
"""

from __future__ import annotations

import asyncio

from prytany import Process, agent

ORDERS = {"1001": "tea", "1002": "cups"}


@agent(pledge="tools")
async def clerk(proc: Process) -> str:
    prices = await asyncio.gather(*(proc.tools.shop.price(sku=sku) for sku in ORDERS.values()))
    lines = [f"{order}: {sku}, {price} cents" for (order, sku), price in zip(ORDERS.items(), prices, strict=True)]
    for order, sku in ORDERS.items():
        lines.append(await proc.tools.shop.ship(order_id=order, sku=sku))
    return "\n".join(lines)
