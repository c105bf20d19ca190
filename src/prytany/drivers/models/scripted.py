"""A model that is a pure function of its request: for tests, demonstrations and dry runs (`--model scripted`).

Rules map a pattern to an answer; without a matching rule it answers from the request's own text, so that a fleet runs
end to end with no model at all. It must not keep state that changes an answer: only `calls` counts.

Source: pydantic-ai's test model, which ships in its product.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from prytany.drivers.models.failures import failure
from prytany.drivers.models.prices import FREE
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelRequest, ToolCall, Usage

BYTES_A_TOKEN = 4
SENTENCE_CHARS_MAX = 200
PIECE = re.compile(r"\s*\S+|\s+")
EMBEDDING_SIZE = 64
EXAMPLE_DEPTH_MAX = 16


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that a rule answers with."""

    name: str
    arguments: dict[str, Any] = {}


class ScriptedFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A failure that a rule answers with, after the text of the rule was streamed."""

    kind: str
    message: str = "scripted"
    retry_after_ms: int | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer for requests whose last message, of `role` if that is given, matches the pattern `when`."""

    when: str
    text: str = ""
    role: str | None = None
    tool_calls: list[ScriptedCall] = []
    failure: ScriptedFailure | None = None
    latency_ms: int = 0
    """Before the first piece."""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a script's file holds."""

    rules: list[Rule] = []
    latency_ms: int = 0
    """Of answers without a rule."""


class ScriptedModel:
    """A scripted `prytany.ports.model.Model`. The first rule that matches wins."""

    def __init__(self, rules: Sequence[Rule] = (), *, name: str = "scripted", latency_ms: int = 0) -> None:
        self._rules = [(re.compile(rule.when, re.DOTALL), rule) for rule in rules]
        self._name = name
        self._latency_ms = latency_ms
        self.calls = 0

    @classmethod
    def load(cls, path: Path, *, name: str = "scripted") -> ScriptedModel:
        """Read a script: {"rules": [{"when": "...", "text": "..."}]}; raises ValueError where it is not one."""
        try:
            script = msgspec.json.decode(path.read_bytes(), type=Script)
            return cls(script.rules, name=name, latency_ms=script.latency_ms)
        except (msgspec.MsgspecError, re.error) as error:
            raise ValueError(f"{path}: {error}") from None

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._name

    @property
    def features(self) -> ModelFeatures:
        """Everything: it costs nothing here."""
        return ModelFeatures(True, True, True, True, True, True, FREE)

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure where a rule says so."""
        async for item in self.stream(request):
            if isinstance(item, ModelAnswer):
                return item
        raise AssertionError("a stream ends with its answer")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Word by word, and the whole answer last; raises ModelFailure where a rule says so."""
        self.calls += 1
        rule = self._rule(request)
        answer = self._answer(request, rule)
        latency_ms = rule.latency_ms if rule else self._latency_ms
        if latency_ms:
            await asyncio.sleep(latency_ms / 1_000)
        for piece in PIECE.findall(answer.text):
            yield piece
        if rule is not None and rule.failure is not None:
            raise failure(rule.failure.kind, rule.failure.message, retry_after_ms=rule.failure.retry_after_ms)
        yield answer

    async def embed(self, texts: list[str]) -> Embedded:
        """Words hashed into places, of length one: texts that share words are near each other."""
        self.calls += 1
        size = sum(len(text.encode()) for text in texts)
        return Embedded([_embed(text) for text in texts], Usage(_tokens(size), 0, 0))

    async def close(self) -> None:
        """Nothing is held."""

    def _rule(self, request: ModelRequest) -> Rule | None:
        last = request.messages[-1] if request.messages else {}
        text = _text(last)
        for pattern, rule in self._rules:
            if (rule.role is None or rule.role == last.get("role")) and pattern.search(text):
                return rule
        return None

    def _answer(self, request: ModelRequest, rule: Rule | None) -> ModelAnswer:
        text = rule.text if rule else default_text(request)
        finish = "stop"
        for stop in request.stop:
            text = text.split(stop, 1)[0] if stop else text
        encoded = text.encode()
        if len(encoded) > request.max_tokens * BYTES_A_TOKEN:
            text = encoded[: request.max_tokens * BYTES_A_TOKEN].decode(errors="ignore")
            finish = "length"
        asked = msgspec.json.encode(msgspec.structs.replace(request, tenant=0), order="deterministic")
        asked = asked.removesuffix(b',"tenant":0}') + b"}"  # whoever asks: ids are those of what is asked
        digest = hashlib.blake2b(asked, digest_size=8).hexdigest()
        calls = [
            ToolCall(f"call_{digest}_{place}", call.name, msgspec.json.encode(call.arguments).decode())
            for place, call in enumerate(rule.tool_calls if rule else [])
        ]
        written = len(text.encode()) + sum(len(call.arguments) for call in calls)
        usage = Usage(_tokens(len(msgspec.json.encode(request.messages))), _tokens(written), 0)
        return ModelAnswer(text, "tool_calls" if calls else finish, calls, usage, self._name)


def default_text(request: ModelRequest) -> str:
    """The first sentence of the last user message and its count of words, or an example of the schema."""
    users = [message for message in request.messages if message.get("role") == "user"]
    text = " ".join(_text((users or request.messages or [{}])[-1]).split())
    words = len(text.split())
    sentence = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0][:SENTENCE_CHARS_MAX].strip()
    if request.schema is not None:
        return msgspec.json.encode(_example(request.schema, request.schema, sentence, words, 0)).decode()
    return f"{sentence} [{words} words]"


def _example(schema: Any, root: dict[str, Any], sentence: str, words: int, depth: int) -> Any:
    """The smallest value of a schema that still says something of the request."""
    if not isinstance(schema, dict) or depth > EXAMPLE_DEPTH_MAX:
        return None
    fields = cast("dict[str, Any]", schema)
    if "const" in fields:
        return fields["const"]
    for name in ("enum", "anyOf", "oneOf", "allOf"):
        if fields.get(name):
            first = fields[name][0]
            return first if name == "enum" else _example(first, root, sentence, words, depth + 1)
    reference = fields.get("$ref")
    if isinstance(reference, str):
        target: Any = root
        for part in reference.removeprefix("#").split("/")[1:]:
            target = cast("dict[str, Any]", target).get(part) if isinstance(target, dict) else None
        return _example(target, root, sentence, words, depth + 1)
    kind = fields.get("type", "object" if "properties" in fields else "string")
    if isinstance(kind, list):  # of several types, the first
        kind = cast("Sequence[Any]", kind)[0]
    if kind == "object":
        properties = cast("dict[str, Any]", fields.get("properties", {}))
        names = cast("list[str]", fields.get("required", list(properties)))
        return {name: _example(properties.get(name), root, sentence, words, depth + 1) for name in names}
    if kind == "array":
        count = max(1, int(fields.get("minItems", 1)))
        return [_example(fields.get("items"), root, sentence, words, depth + 1)] * min(count, 100)
    if kind in ("integer", "number"):
        return min(max(words, fields.get("minimum", words)), fields.get("maximum", math.inf))
    return {"boolean": True, "null": None}.get(kind, sentence[: int(fields.get("maxLength", SENTENCE_CHARS_MAX))])


def _text(message: dict[str, Any]) -> str:
    content: Any = message.get("content")
    if isinstance(content, list):
        parts = cast("Sequence[Any]", content)
        return " ".join(str(cast("dict[str, Any]", part).get("text", "")) for part in parts if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tokens(count_bytes: int) -> int:
    return -(-count_bytes // BYTES_A_TOKEN)


def _embed(text: str) -> list[float]:
    vector = [0.0] * EMBEDDING_SIZE
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.blake2b(word.encode(), digest_size=2).digest()
        vector[digest[0] % EMBEDDING_SIZE] += 1.0 if digest[1] & 1 else -1.0
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else [1.0] + [0.0] * (EMBEDDING_SIZE - 1)
