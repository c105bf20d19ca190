"""Programs that talk, and a model that remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec

from prytany.abi import events as ev
from prytany.abi.errors import Emodel, KernelError
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, Usage
from prytany.userland.process import Process
from tests.simulation.fleet import CountingModel, Fleet, offer

Messages = list[dict[str, Any]]


class TalkingModel(CountingModel):
    """Answers with how much it was told; fails where the last message says so, and hangs where it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[Messages] = []
        self.asked_once = asyncio.Event()

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        last = str(request.messages[-1]["content"])
        self.prompts.append(msgspec.msgpack.decode(msgspec.msgpack.encode(request.messages)))
        self.asked[last] += 1
        self.asked_once.set()
        if last == "hang":
            await asyncio.get_running_loop().create_future()
        if last == "fail" and self.asked[last] == 1:
            raise ModelFailure("garbage", "scripted", retryable=False)
        return ModelAnswer(f"{len(request.messages)} messages to {last}", "stop", usage=Usage(3, 5))


def talking(root: str) -> Fleet:
    """A fleet with such a model."""
    fleet = Fleet(root)
    fleet.model = TalkingModel()
    return fleet


async def talker(proc: Process) -> dict[str, Any]:
    """Two turns with something of a tool's between them, a fork at the head, one in the past, and a look at it all."""
    talk = proc.conversation("be brief", labels=["public"])
    said = [await talk.llm("one")]
    early = talk.node
    await talk.append("user", "from the web", source="tool:web", labels=["untrusted"])
    said.append(await talk.llm("two"))
    fork = await talk.fork()
    past = await talk.fork(early)
    said += [await fork.llm("three"), await past.llm("other"), await talk.llm("x" * 5_000)]
    read = {name: [list(m[:6]) for m in await c.messages()] for name, c in (("talk", talk), ("past", past))}
    return {"said": said, "nodes": [talk.node, fork.node, past.node], "read": read}


async def failing(proc: Process) -> list[Any]:
    """Asks again where there was no answer."""
    talk = proc.conversation()
    await talk.llm("before")
    with contextlib.suppress(Emodel):
        await talk.llm("fail")
    node = talk.node
    await talk.llm("fail")
    return [node, talk.node, talk.length]


async def cancelling(proc: Process) -> list[Any]:
    """Cancels a question, and asks another."""
    talk = proc.conversation()
    await talk.llm("before")
    asked = asyncio.ensure_future(talk.llm("hang"))
    await proc.nop()
    said: list[Any] = []
    for attempt in (talk.llm("meanwhile"), talk.append("user", "meanwhile"), talk.close()):
        try:
            await attempt
        except KernelError as error:
            said.append(error.errno)
    fork = await talk.fork()
    said.append(fork.length)
    await proc.calls.call_cancel(4)
    try:
        await asked
    except KernelError as error:
        said.append(error.errno)
    return [*said, await talk.llm("after"), talk.length]


async def refused(proc: Process, cases: list[list[Any]]) -> list[str]:
    """Makes calls as they are given, after one context was opened; what each ended with."""
    await proc.calls.context_open([{"role": "user", "content": "hello"}])
    said: list[str] = []
    for name, args in cases:
        try:
            await getattr(proc.calls, name)(*args)
        except KernelError as error:
            said.append(error.errno)
        else:
            said.append("")
    return said


async def thief(proc: Process) -> list[str]:
    """A child that tries its parent's context."""
    return await refused_without_own(proc)


async def refused_without_own(proc: Process) -> list[str]:
    said: list[str] = []
    for name, args in (
        ("context_read", (1,)), ("context_append", (1, [{"role": "user", "content": "x"}])), ("context_fork", (1,)),
        ("context_close", (1,)), ("model_chat", ([{"role": "user", "content": "x"}], "", {}, 1)),
    ):  # fmt: skip
        try:
            await getattr(proc.calls, name)(*args)
        except KernelError as error:
            said.append(error.errno)
    return said


async def victim(proc: Process) -> Any:
    """Has a context, and a child that wants it."""
    talk = proc.conversation()
    await talk.llm("mine")
    return [await proc.run("thief"), talk.length]


for _program, _pledge in (
    (talker, ("model",)), (failing, ("model",)), (cancelling, ("model",)), (refused, ("model",)),
    (thief, ("model",)), (victim, ("model", "proc")),
):  # fmt: skip
    offer(_program, *_pledge)


def chain_of(fleet: Fleet) -> list[tuple[int, list[bytes]]]:
    """Every node that was appended, by context, in the order of the journal."""
    found: list[tuple[int, list[bytes]]] = []
    asked: dict[int, list[bytes]] = {}
    for entry in fleet.entries():
        for event in entry.events:
            if isinstance(event, ev.ContextAsked):
                asked[event.context] = [node.node for node in event.nodes]
            elif isinstance(event, ev.ContextAppended):
                answer = event.source.kind == "model"
                before = asked.pop(event.context) if answer else []
                found.append((event.context, before + [node.node for node in event.nodes]))
    return found
