"""OpenAI's chat form: a request as bytes, an answer read, a stream of pieces put together.

Pure: no connection, no clock. It reads what Prytany needs and ignores the rest; what it cannot read is `garbage`, never
an exception of its own kind.

Source: OpenAI's chat completions API; the answers of llama.cpp's server.
"""

from __future__ import annotations

import math
from base64 import b64encode
from typing import Any, cast

import msgspec

from prytany.abi import limits
from prytany.drivers.models.failures import failure, kind_of, read_error_object
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, Told, ToolCall, Usage

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
TOOL_CALLS_MAX = 128  # in one answer
MODEL_CHARS_MAX = 256  # of the name that an endpoint gives itself
TOKENS_SAID_MAX = 1 << 40  # of one answer; who says more says nothing


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class WireAnswer(msgspec.Struct):
    """A whole answer or one chunk of a stream: the fields that are read."""

    choices: list[_Choice] | None = None
    usage: Any = None
    """As it came: an answer is one whatever it says that it took; see `_tokens`."""
    model: str | None = None
    error: Any = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: Any = None


_answer = msgspec.json.Decoder(WireAnswer)
_vectors = msgspec.json.Decoder(_Vectors)


def encode(value: Any) -> bytes:
    """JSON, or `bad_request` where it is too deep or not JSON at all."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise failure("bad_request", f"the request is not JSON ({type(error).__name__})") from None


def encode_request(request: ModelRequest, model: str, *, stream: bool, max_tokens_field: str = "max_tokens") -> bytes:
    """The body of a chat request. `extra` comes first, so that it can add fields and never lift the kernel's bounds."""
    body: dict[str, Any] = dict(request.extra)
    body.pop("max_tokens", None)
    if body.pop("max_completion_tokens", None) is not None:
        max_tokens_field = "max_completion_tokens"  # the caller's dialect, the kernel's number
    body |= {
        "model": model,
        "messages": write_messages(request),
        max_tokens_field: request.max_tokens,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    else:
        body.pop("stream_options", None)
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = request.stop
    if request.schema is not None:
        form = {"name": "answer", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    if request.tools:
        body["tools"] = [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in request.tools]
    return encode(body)


def write_messages(request: ModelRequest) -> list[dict[str, Any]]:
    """The messages, with pictures as OpenAI's form has them."""
    return [
        message | {"content": [_write_part(part) for part in cast("list[Any]", message["content"])]}
        if isinstance(message.get("content"), list)
        else message
        for message in request.messages
    ]


def _write_part(part: Any) -> Any:
    if not isinstance(part, dict) or cast("dict[str, Any]", part).get("type") != "image":
        return cast("Any", part)
    fields = cast("dict[str, Any]", part)
    data = b64encode(fields["data"]).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{fields['media_type']};base64,{data}"}}


def decode(body: bytes) -> WireAnswer:
    """An answer or a chunk; raises `garbage`, or what an error inside it says."""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise failure("garbage", "the answer is not of OpenAI's form: is the endpoint's address right?") from None
    if answer.error is not None:
        message, codes = read_error_object(answer.error)
        status = next((int(code) for code in sorted(codes) if len(code) == 3 and code.isdecimal()), 500)
        kind = kind_of(status, codes, message)
        raise failure(kind, "the endpoint refused the key" if kind == "bad_key" else f"error in the answer: {message}")
    return answer


def decode_vectors(body: bytes, count: int) -> tuple[list[list[float]], Usage]:
    """The vectors of an embeddings answer, in the order of the texts, and what it says that they took."""
    try:
        answer = _vectors.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        raise failure("garbage", "the vectors are not of OpenAI's form: is the endpoint's address right?") from None
    vectors = answer.data
    if sorted(vector.index for vector in vectors) != list(range(count)):
        raise failure("garbage", "not one vector a text")
    used = Usage(_tokens(answer.usage, "prompt_tokens"))
    return [vector.embedding for vector in sorted(vectors, key=lambda vector: vector.index)], used


class Fold:
    """An answer in the making: takes a whole answer or its chunks, one by one, and bounds what it holds."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish: str | None = None
        self._bytes = 0
        self._model = ""
        self.usage = Usage()
        self.cached_tokens = 0

    @property
    def finished(self) -> bool:
        """The endpoint said why it stopped."""
        return self._finish is not None

    def add(self, answer: WireAnswer) -> str:
        """Take one chunk and return the text in it."""
        self._model = (answer.model or self._model)[:MODEL_CHARS_MAX]
        if answer.usage is not None:
            used = answer.usage
            self.usage = Usage(_tokens(used, "prompt_tokens"), _tokens(used, "completion_tokens"))
            self.cached_tokens = _tokens(used, "prompt_tokens_details", "cached_tokens")
        text = ""
        for choice in answer.choices or []:
            message = choice.message or choice.delta
            if choice.index == 0 and message is not None:
                text += self._take(message)
            if choice.index == 0 and choice.finish_reason is not None:
                self._finish = choice.finish_reason
        return text

    def _take(self, message: _Message) -> str:
        content = message.content
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content)
        text = content or message.refusal or ""
        self._grow(text)
        if text:
            self._pieces.append(text)
        for place, call in enumerate(message.tool_calls or []):
            # A whole answer numbers its calls by their place, a chunk by `index`.
            kept = self._calls.setdefault(max(place, call.index), {"id": "", "name": "", "arguments": ""})
            function = call.function or _Function()
            kept["id"] = kept["id"] or call.id or ""
            kept["name"] += function.name or ""
            kept["arguments"] += function.arguments or ""
            self._grow(f"{call.id or ''}{function.name or ''}{function.arguments or ''}", len(self._calls))
        return text

    def _grow(self, text: str, calls: int = 0) -> None:
        self._bytes += len(text.encode("utf-8", "surrogatepass"))
        if self._bytes > limits.RESULT_BYTES_MAX or calls > TOOL_CALLS_MAX:
            raise too_big()

    def finish(self, cost_usd_micros: int | None = None, told: Told | None = None) -> ModelAnswer:
        """The whole answer."""
        calls = [
            ToolCall(call["id"] or f"call_{place}", call["name"], call["arguments"])
            for place, call in sorted(self._calls.items())
        ]
        finish = self._finish if self._finish in FINISHES and self._finish else "stop"
        usage = msgspec.structs.replace(self.usage, cost_usd_micros=cost_usd_micros)
        return ModelAnswer("".join(self._pieces), "tool_calls" if calls else finish, calls, usage, self._model, told)


def _tokens(said: Any, *path: str) -> int:
    """A count of what an endpoint says that an answer took; 0, which is not said, for what is no count."""
    for key in path:
        said = cast("dict[str, Any]", said).get(key) if isinstance(said, dict) else None
    if isinstance(said, float) and 0 <= said <= TOKENS_SAID_MAX:
        said = math.ceil(said)
    return said if type(said) is int and 0 <= said <= TOKENS_SAID_MAX else 0


def too_big() -> ModelFailure:
    """An answer beyond the bound: the same request would give the same, so it is not tried again."""
    answer = failure("garbage", f"the answer is larger than the bound of {limits.RESULT_BYTES_MAX >> 20} MiB")
    answer.retryable = False
    return answer
