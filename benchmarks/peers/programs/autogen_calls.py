"""Calls and replies a second of autogen-core's runtime among 100 agents in a ring, of which each calls its neighbour,
one call in flight each: from outside, as its runtime is driven, and from within handlers."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler

AGENTS, CALLS = 100, 100


@dataclass
class Ask:
    at: int


@dataclass
class Go:
    neighbour: str
    number: int


class Peer(RoutedAgent):
    @message_handler
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Ask:
        return message

    @message_handler
    async def on_go(self, message: Go, ctx: MessageContext) -> None:
        to = AgentId("peer", message.neighbour)
        for at in range(message.number):
            assert (await self.send_message(Ask(at), to)).at == at


async def main() -> None:
    logging.disable(logging.CRITICAL)
    runtime = SingleThreadedAgentRuntime()
    await Peer.register(runtime, "peer", lambda: Peer("peer"))
    runtime.start()
    names = [str(at) for at in range(AGENTS)]

    async def outside(name: str) -> None:
        for at in range(CALLS):
            assert (await runtime.send_message(Ask(at), AgentId("peer", name))).at == at

    await asyncio.gather(*map(outside, names[:5]))
    began = time.perf_counter()
    await asyncio.gather(*map(outside, names))
    from_outside = AGENTS * CALLS / (time.perf_counter() - began)
    began = time.perf_counter()
    ring = (runtime.send_message(Go(names[at - 1], CALLS), AgentId("peer", name)) for at, name in enumerate(names))
    await asyncio.gather(*ring)
    within = AGENTS * CALLS / (time.perf_counter() - began)
    await runtime.stop()
    print(json.dumps({"outside": from_outside, "within": within}))


asyncio.run(main())
