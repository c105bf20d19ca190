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
from prytany.drivers.models.forced import flatten, introduce, tool_schema
from prytany.ports.model import ModelRequest

TEMPERATURE = 0.2
REPEAT_PENALTY = 1.15
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
    messages = flatten(request.messages) if tools_wanted else _as_known(request.messages)
    if tools_wanted:
        schema = tool_schema(request, schema, extra.get("tool_choice"))
        check_schema(schema)
        messages = introduce(request, messages)
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
