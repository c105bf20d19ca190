"""Tools for models that cannot call any: a JSON Schema forces their answer to be {tool, arguments} or {answer}.

The model is told of the tools in its system message, calls that were made and what came of them stand in the
conversation as plain text, and nothing of an answer is streamed while tools are offered, since it is JSON.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from prytany.drivers.models.failures import failure
from prytany.ports.model import (
    Embedded,
    Model,
    ModelAnswer,
    ModelFailure,
    ModelFeatures,
    ModelRequest,
    ToolCall,
    ToolSpec,
)

GREETING = (
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": '{"answer": "Hello! What can I do for you?"}'},
)


class ForcedTools:
    """A model that answers in JSON of a schema, as one that calls tools."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._model.name

    @property
    def features(self) -> ModelFeatures:
        """What it can do."""
        return msgspec.structs.replace(self._model.features, tools=True)

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        return _read(request, await self._model.chat(_forced(request)))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; with tools, only the answer."""
        async with aclosing(self._model.stream(_forced(request))) as items:
            async for item in items:
                if isinstance(item, ModelAnswer):
                    yield _read(request, item)
                elif not request.tools:
                    yield item

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text; raises ModelFailure."""
        return await self._model.embed(texts)

    async def close(self) -> None:
        """Let go of connections and processes."""
        await self._model.close()


def _forced(request: ModelRequest) -> ModelRequest:
    messages = flatten(request.messages)
    if not request.tools:
        return msgspec.structs.replace(request, messages=messages)
    schema = tool_schema(request, request.schema, None)
    return msgspec.structs.replace(request, messages=introduce(request, messages), schema=schema, tools=[])


def _read(request: ModelRequest, answer: ModelAnswer) -> ModelAnswer:
    """As `read_tool_answer`; an endpoint that heeds no schema may answer in plain text."""
    try:
        return read_tool_answer(request, answer)
    except ModelFailure:
        return answer


def read_tool_answer(request: ModelRequest, answer: ModelAnswer) -> ModelAnswer:
    """Turn {tool, arguments} into a tool call and {answer} into text; raises `garbage` where it is neither."""
    if not request.tools or request.extra.get("tool_choice") == "none":
        return answer
    try:
        decoded = msgspec.json.decode(answer.text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        if answer.finish == "length":  # cut by max_tokens: the caller sees what there is, as from any model
            return answer
        raise failure("garbage", "the model wrote neither a tool call nor an answer") from None
    if "tool" in decoded:
        arguments = msgspec.json.encode(decoded.get("arguments", {})).decode()
        call = ToolCall(f"call_{len(request.messages)}", str(decoded["tool"]), arguments)
        return msgspec.structs.replace(answer, text="", finish="tool_calls", tool_calls=[call])
    text = decoded.get("answer", "")
    return msgspec.structs.replace(answer, text=text if isinstance(text, str) else msgspec.json.encode(text).decode())


def tool_schema(request: ModelRequest, schema: dict[str, Any] | None, choice: Any) -> dict[str, Any]:
    """One alternative a tool, and a plain answer unless the caller insists on a tool."""
    named = cast("dict[str, Any]", choice).get("function", {}).get("name") if isinstance(choice, dict) else None
    alternatives: list[dict[str, Any]] = [
        {
            "type": "object",
            "properties": {"tool": {"const": tool.name}, "arguments": tool.parameters or {"type": "object"}},
            "required": ["tool", "arguments"],
        }
        for tool in request.tools
        if named is None or tool.name == named
    ]
    if not alternatives:
        raise _unknown_tool(named)
    if named is None and choice != "required":
        answer = schema if schema is not None else {"type": "string"}
        alternatives.append({"type": "object", "properties": {"answer": answer}, "required": ["answer"]})
    return {"anyOf": alternatives}


def _unknown_tool(name: Any) -> ModelFailure:
    return failure("bad_request", f"tool_choice names a tool that is not given: {name}")


def introduce(request: ModelRequest, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell the model of its tools in the system message, since nothing else does; and show it one answer.

    Without the greeting a small model takes everything for a question to a tool.
    """
    tools = "\n".join(f"- {tool.description} {_example(tool)}" for tool in request.tools)
    text = f'Answer in JSON. To say something: {{"answer": "..."}}. To use a tool:\n{tools}'
    if messages and messages[0].get("role") == "system":
        text = f"{messages[0].get('content')}\n\n{text}"
        messages = messages[1:]
    return [{"role": "system", "content": text}, *GREETING, *messages]


def _example(tool: ToolSpec) -> str:
    """How it is written that `tool` is wanted."""
    properties: Any = tool.parameters.get("properties")
    names = cast("dict[str, Any]", properties) if isinstance(properties, dict) else {}
    return msgspec.json.encode({"tool": tool.name, "arguments": dict.fromkeys(names, "...")}).decode()


def flatten(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls and their results as the plain messages that every model knows."""
    flat: list[dict[str, Any]] = []
    for message in messages:
        calls = cast("list[dict[str, Any]]", message.get("tool_calls") or [])
        if message.get("role") == "tool":
            flat.append({"role": "user", "content": f"Result of the tool: {message.get('content')}"})
        elif calls:
            texts = [f'{{"tool": "{c["function"]["name"]}", "arguments": {c["function"]["arguments"]}}}' for c in calls]
            flat.append({"role": "assistant", "content": "\n".join(texts)})
        else:
            flat.append(message)
    return flat
