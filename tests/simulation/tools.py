"""Tools that count, wait and die as a test says, behind the port."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from prytany.ports.tool import Effect, ToolFailure, ToolFeatures, ToolManifest

PATH = "/srv/tools/shop.py"


def manifest(name: str, effect: Effect, resources: tuple[str, ...] = ()) -> ToolManifest:
    properties = {"order": {"type": "string"}, "count": {"type": "integer", "default": 1}}
    parameters = {"type": "object", "properties": properties, "required": ["order"], "additionalProperties": False}
    return ToolManifest(name, name, parameters, effect, (), resources, 1_000)


class CountingTools:
    """`shop.look` is pure, `shop.pay` keyed, `shop.ship` unsafe; the latter two have their order to themselves.

    Attributes:
        begun: how often each call was begun, by name and order.
        keys: the keys that came with each.
        deaths: of the next calls of that name, how many die in the middle.
        gate: where it is set, every call waits for it.
        running: the orders that are worked on now; `most` is how many calls of one order ever ran at once.
    """

    def __init__(self, path: str = PATH) -> None:
        self.path = path
        self.source = b"# shop"
        self.features = ToolFeatures(concurrent=True, cancels=True)
        order = ("orders/{order}",)
        of = [
            manifest("shop.look", "pure"),
            manifest("shop.pay", "keyed", order),
            manifest("shop.ship", "unsafe", order),
        ]
        self.manifests = {m.name: m for m in of}
        self.begun: Counter[str] = Counter()
        self.keys: dict[str, list[str]] = {}
        self.deaths: Counter[str] = Counter()
        self.gate: asyncio.Event | None = None
        self.running: Counter[str] = Counter()
        self.most = 0
        self.order: list[str] = []

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        order = str(arguments["order"])
        what = f"{name} {order}"
        self.begun[what] += 1
        self.order.append(what)
        self.keys.setdefault(what, []).append(key)
        self.running[order] += 1
        self.most = max(self.most, self.running[order])
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.deaths[name]:
                self.deaths[name] -= 1
                raise ToolFailure("died", f"the process of {name} died", begun=True)
            return f"{what} done"
        finally:
            self.running[order] -= 1

    async def close(self) -> None:
        return
