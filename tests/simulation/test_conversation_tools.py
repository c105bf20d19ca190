"""A conversation in which a model asks for a tool: call and result stand in the chain, and say where they came from."""

from __future__ import annotations

import asyncio
from typing import Any

from prytany.kernel.folding import fold
from prytany.kernel.models.reserve import IMAGE_TOKENS, context_bound
from prytany.ports.model import ModelAnswer, ModelFeatures, ModelRequest, ToolCall, Usage
from prytany.userland.asking import image
from prytany.userland.process import Process
from tests.simulation.fleet import CountingModel, Fleet, offer

ADD = {"name": "add", "description": "adds", "parameters": {"type": "object"}}


class Calculating(CountingModel):
    """Asks for a tool first, and answers with what that gave."""

    def __init__(self) -> None:
        super().__init__()
        self.features = ModelFeatures(tools=True, images=True)
        self.prompts: list[list[dict[str, Any]]] = []

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.prompts.append(list(request.messages))
        last = request.messages[-1]
        if last["role"] == "tool":
            return ModelAnswer(f"it is {last['content']}", "stop", usage=Usage(3, 5))
        return ModelAnswer("", "tool_calls", [ToolCall("call_1", "add", '{"a": 3, "b": 4}')], Usage(3, 5))


async def calculates(proc: Process) -> list[Any]:
    talk = proc.conversation()
    asked = await talk.chat("3 and 4?", tools=[ADD])
    call = asked.tool_calls[0]
    await talk.append("tool", str(sum(call.args.values())), source=f"tool:{call.name}", tool_call_id=call.id)
    answer = await talk.llm([], tools=[ADD])
    await talk.append("user", [image(b"\x89PNG")])
    return [answer, [[m.role, m.source, m.by] for m in await talk.messages()]]


offer(calculates, "model")


def test_a_tools_result_is_told_to_the_model_and_is_the_tools_on_the_programs_word() -> None:
    fleet = Fleet("calculates")
    model = fleet.model = Calculating()
    ended = asyncio.run(fleet.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    answer, read = ended["result"]
    assert answer == "it is 7"
    assert read == [
        ["user", "agent:1", 0],
        ["assistant", "model:counting", 0],
        ["tool", "tool:add", 1],
        ["assistant", "model:counting", 0],
        ["user", "agent:1", 0],
    ]
    assert model.prompts[1][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 3, "b": 4}'}}
            ],
        },
        {"role": "tool", "content": "7", "tool_call_id": "call_1"},
    ]


def test_pictures_in_a_context_are_reserved_for() -> None:
    fleet = Fleet("calculates")
    fleet.model = Calculating()
    asyncio.run(fleet.live())
    head = fold(fleet.store.reader())[0].contexts.owned[1].heads[1]
    assert head.images == 1
    assert context_bound(head) > IMAGE_TOKENS
