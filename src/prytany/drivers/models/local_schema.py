"""What may be asked of llama.cpp, and how: schemas within bounds, no raw grammars, tools forced by a schema.

llama.cpp turns a JSON Schema into a grammar; a grammar of 50,000 parentheses kills it and a schema nested 20,000 deep
hangs it, so whatever becomes a grammar is bounded here before it leaves. The small model's template ignores tools, so a
tool call is an answer of the form {tool, arguments}. Pure.

Source: the bounds are in abi/limits.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from prytany.abi import limits
from prytany.drivers.models.failures import failure
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, ToolCall, ToolSpec

TEMPERATURE = 0.2
REPEAT_PENALTY = 1.15
GREETING = (
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": '{"answer": "Hello! What can I do for you?"}'},
)
REPEATS_MAX = 1_024  # of minItems, maxLength and their like, each of which is unrolled into the grammar
NESTED_REPEATS_MAX = 16_384  # along one path: 1,024 lists of 1,024 hang llama.cpp (tried)
PASSED = frozenset(
    {"top_p", "top_k", "min_p", "typical_p", "presence_penalty", "frequency_penalty", "repeat_penalty", "repeat_last_n"}
)
GRAMMARS = frozenset({"grammar", "grammar_lazy", "grammar_triggers", "json_schema", "preserved_tokens"})
REPEATS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})


def check_schema(schema: Any) -> None:
    """Refuse, as `bad_request`, a schema beyond the bounds; walks without recursion, so it cannot be felled itself."""
    waiting: list[tuple[Any, int, int]] = [(schema, 1, 1)]
    while waiting:
        value, depth, repeats = waiting.pop()
        if depth > limits.SCHEMA_DEPTH_MAX:
            raise failure("bad_request", f"the schema is nested deeper than {limits.SCHEMA_DEPTH_MAX}")
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            counts = [fields[key] for key in REPEATS if isinstance(fields.get(key), int | float)]
            own = max([1, *counts, *(_pattern_repeats(fields[key]) for key in ("pattern",) if key in fields)])
            repeats *= int(min(own, REPEATS_MAX + 1))
            if own > REPEATS_MAX or repeats > NESTED_REPEATS_MAX:
                raise failure("bad_request", "the schema repeats too much")
            for key, item in fields.items():
                if key == "pattern" and isinstance(item, str) and item.count("(") > limits.SCHEMA_DEPTH_MAX:
                    raise failure("bad_request", f"a pattern has more than {limits.SCHEMA_DEPTH_MAX} groups")
                waiting.append((item, depth + 1, repeats))
        elif isinstance(value, list):
            waiting.extend((item, depth + 1, repeats) for item in cast("Sequence[Any]", value))
    try:
        size = len(msgspec.json.encode(schema))
    except (TypeError, ValueError, OverflowError):
        raise failure("bad_request", "the schema is not JSON") from None
    if size > limits.SCHEMA_BYTES_MAX:
        raise failure("bad_request", f"the schema is larger than {limits.SCHEMA_BYTES_MAX} bytes")


def _pattern_repeats(pattern: Any) -> int:
    """The product of a pattern's counted repeats: nested ones are unrolled into each other."""
    product = 1
    for count in re.findall(r"\{\d*,?(\d+)\}|\{(\d+),\}", pattern) if isinstance(pattern, str) else ():
        product *= min(max(1, *(int(part[:6] or "1") for part in count)), REPEATS_MAX + 1)
    return product


def prepare(request: ModelRequest) -> ModelRequest:
    """The request as llama.cpp gets it: defaults set, fields chosen, tools turned into a schema; or `bad_request`."""
    extra = dict(request.extra)
    if refused := sorted(GRAMMARS & extra.keys()):
        raise failure("bad_request", f"raw grammars are refused: {', '.join(refused)}")
    if extra.get("n", 1) != 1:
        raise failure("bad_request", "one answer a call")
    schema = request.schema if request.schema is not None else _schema_of(extra.get("response_format"))
    if schema is not None:
        check_schema(schema)
    tools_wanted = bool(request.tools) and extra.get("tool_choice") != "none"
    messages = _flatten(request.messages) if tools_wanted else _as_known(request.messages)
    if tools_wanted:
        schema = _tool_schema(request, schema, extra.get("tool_choice"))
        check_schema(schema)
        messages = _introduce(request, messages)
    passed = {key: value for key, value in extra.items() if key in PASSED}
    if schema is None:  # the marks of JSON have to be repeated: with them punished a small model writes nonsense
        passed = {"repeat_penalty": REPEAT_PENALTY, **passed}
    return msgspec.structs.replace(
        request,
        messages=messages,
        schema=schema,
        tools=[],
        temperature=TEMPERATURE if request.temperature is None else request.temperature,
        extra=passed,
    )


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


def _schema_of(response_format: Any) -> dict[str, Any] | None:
    if not isinstance(response_format, dict):
        return None
    form = cast("dict[str, Any]", response_format)
    if form.get("type") == "json_schema":
        inner: Any = form.get("json_schema")
        schema: Any = cast("dict[str, Any]", inner).get("schema") if isinstance(inner, dict) else None
        if isinstance(schema, dict):
            return cast("dict[str, Any]", schema)
        raise failure("bad_request", "response_format has no schema")
    return {"type": "object"} if form.get("type") == "json_object" else None


def _tool_schema(request: ModelRequest, schema: dict[str, Any] | None, choice: Any) -> dict[str, Any]:
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


def _introduce(request: ModelRequest, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell the model of its tools in the system message, since its template does not; and show it one answer.

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


def _flatten(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls and their results as the plain messages that the small model's template knows."""
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


def _as_known(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where it can use no tool any more, what came of the calls stands before the question that led to them: the small
    model writes what it has seen, and would write calls."""
    flat: list[dict[str, Any]] = []
    for message in messages:
        if message.get("role") == "tool":
            said = str(message.get("content"))
            asked: Any = flat[-1].get("content") if flat and flat[-1].get("role") == "user" else None
            if isinstance(asked, str):
                flat[-1] = {"role": "user", "content": f"{said}\n\n{asked}"}
            else:
                flat.append({"role": "user", "content": said})
        elif not message.get("tool_calls"):
            flat.append(message)
    return flat
