"""What a model gives: an answer, whole or as it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from prytany.abi.errors import Emodel, KernelError


@dataclass(frozen=True)
class ToolCall:
    """A call that the model asks for."""

    id: str
    name: str
    arguments: str
    """The JSON text that the model wrote, unchecked."""

    @property
    def args(self) -> dict[str, Any]:
        """The arguments, read. Raises Emodel, cause `not_json`, where they are no JSON object."""
        args: Any = read_json(self.arguments or "{}")
        if not isinstance(args, dict):
            raise Emodel("the arguments are no JSON object", call="model_chat", detail={"cause": "not_json"})
        return cast("dict[str, Any]", args)

    def result(self, content: str) -> dict[str, Any]:
        """The message that gives the tool's result back."""
        return {"role": "tool", "tool_call_id": self.id, "content": content}


@dataclass(frozen=True)
class Usage:
    """What the endpoint says that the answer took. Zeros where it does not say."""

    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int | None
    """None where no price is known."""


@dataclass(frozen=True)
class Answer:
    """A model's whole answer."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish: str
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    usage: Usage
    model: str

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message, to go on from."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.tool_calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in self.tool_calls
            ]
        return message

    def json(self) -> Any:
        """The text, read as JSON. Raises Emodel, cause `not_json`: it was cut short, or is something else."""
        return read_json(self.text)


def read_json(text: str) -> Any:
    """What `text` says in JSON. Raises Emodel, cause `not_json`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Emodel(
            f"what the model wrote is no JSON: {error}", call="model_chat", detail={"cause": "not_json"}
        ) from None


def read_answer(value: Mapping[str, Any], text: str | None = None) -> Answer:
    """The answer that a `model_chat` was answered with; `text` is what came in pieces."""
    calls = tuple(ToolCall(c["id"], c["name"], c["arguments"]) for c in value["tool_calls"])
    used = value["usage"]
    usage = Usage(used["prompt_tokens"], used["completion_tokens"], used["cost_usd_micros"])
    return Answer(value["text"] if text is None else text, calls, value["finish"], usage, value["model"])


class Pieces(Protocol):
    """A call that is answered in pieces, as the runtime has it."""

    value: Any

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def __anext__(self) -> Any: ...

    async def aclose(self) -> None:
        """No more is wanted."""
        ...


class TextStream:
    """An answer as it comes: `async for piece in stream`; then `stream.answer`, and at any time `stream.text`.

    `await stream` reads the rest and gives the whole text. One who stops early says so, with `await stream.aclose()`
    or by `async with`: the endpoint goes on writing (and charging) until then. A stream that is cut raises Emodel,
    cause `interrupted`, and what came of it is in `text`.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._text: list[str] = []
        self._answer: Answer | None = None

    @property
    def text(self) -> str:
        """What has come so far."""
        return "".join(self._text)

    @property
    def answer(self) -> Answer:
        """The whole answer. Raises RuntimeError before the stream has ended."""
        if self._answer is None:
            raise RuntimeError("the stream has not ended; read it to its end first")
        return self._answer

    def __aiter__(self) -> TextStream:
        return self

    async def __anext__(self) -> str:
        try:
            piece = str(await self._pieces.__anext__())
        except StopAsyncIteration:
            value = self._pieces.value
            if self._answer is not None or value is None:
                raise
            given = "" if self._text else str(value["text"])  # of an answer that a person gave there are no pieces
            self._answer = read_answer(value, given or self.text)
            if not given:
                raise
            piece = given
        except KernelError as error:
            error.detail.setdefault("text", self.text)
            raise
        self._text.append(piece)
        return piece

    async def _rest(self) -> str:
        async for _ in self:
            pass
        return self.text

    def __await__(self) -> Generator[Any, None, str]:
        return self._rest().__await__()

    async def aclose(self) -> None:
        """No more is wanted: the endpoint is let go."""
        await self._pieces.aclose()

    async def __aenter__(self) -> TextStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
