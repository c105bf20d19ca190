"""Asking models, as an author of agents does it: a text, a stream, an answer, an object, vectors."""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, overload

from prytany.userland.answers import Answer, Pieces, TextStream, read_answer
from prytany.userland.calls import Calls

Message = Mapping[str, Any]
Prompt = str | Sequence[Message]
Schema = Mapping[str, Any]


def image(data: bytes, media_type: str = "image/png") -> dict[str, Any]:
    """A picture, as one part of a message's content beside `{"type": "text", "text": ...}`."""
    return {"type": "image", "media_type": media_type, "data": data}


def _messages(prompt: Prompt, system: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    return messages + ([{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt])


def _options(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


class Asking:
    """The part of `Process` that asks models."""

    calls: Calls
    _stream: Callable[[str, tuple[Any, ...]], Pieces]

    @overload
    def llm(
        self, prompt: Prompt, *, system: str = ..., model: str = ..., schema: Schema | None = ...,
        max_tokens: int | None = ..., temperature: float | None = ..., seed: int | None = ...,
        stop: Sequence[str] | None = ..., fresh: bool = ..., stream: Literal[False] = ...,
    ) -> Coroutine[Any, Any, str]: ...  # fmt: skip

    @overload
    def llm(
        self, prompt: Prompt, *, system: str = ..., model: str = ..., schema: Schema | None = ...,
        max_tokens: int | None = ..., temperature: float | None = ..., seed: int | None = ...,
        stop: Sequence[str] | None = ..., fresh: bool = ..., stream: Literal[True],
    ) -> TextStream: ...  # fmt: skip

    def llm(
        self, prompt: Prompt, *, system: str = "", model: str = "", schema: Schema | None = None,
        max_tokens: int | None = None, temperature: float | None = None, seed: int | None = None,
        stop: Sequence[str] | None = None, fresh: bool = False, stream: bool = False,
    ) -> Coroutine[Any, Any, str] | TextStream:  # fmt: skip
        """Ask the model: `await` gives its text; with `stream=True`, `async for` gives it as it comes.

        Args:
            prompt: a question, or messages in OpenAI's chat form.
            system: an instruction that goes before it.
            model: one of the operator's models; the default one when empty.
            schema: the answer is JSON of this JSON Schema; `ask` reads it.
            max_tokens: of the answer; the kernel sets 1,024 when there is none.
            temperature: 0 and up; the model's own default when there is none.
            seed: where the model can repeat itself.
            stop: texts at which the answer ends.
            fresh: it is asked, whatever was answered to the same before or is about to be.
            stream: the answer is wanted piece by piece. The call is made at once.

        Raises:
            Emodel: the endpoint failed, and trying again did not help.
            Eperm: `model` is not pledged.
        """
        options = _options(
            schema=schema, max_tokens=max_tokens, temperature=temperature, seed=seed,
            stop=None if stop is None else list(stop), fresh=fresh or None,
        )  # fmt: skip
        messages = _messages(prompt, system)
        if stream:
            return TextStream(self._stream("model_chat", (messages, model, options | {"stream": True})))
        return self._text(messages, model, options)

    async def _text(self, messages: list[dict[str, Any]], model: str, options: dict[str, Any]) -> str:
        return str((await self.calls.model_chat(messages, model, options))["text"])

    async def chat(
        self, prompt: Prompt, *, system: str = "", model: str = "", tools: Sequence[Mapping[str, Any]] = (),
        schema: Schema | None = None, max_tokens: int | None = None, temperature: float | None = None,
        seed: int | None = None, stop: Sequence[str] | None = None, fresh: bool = False,
    ) -> Answer:  # fmt: skip
        """Ask the model, and give its whole answer: text, tool calls, why it stopped, and what it took.

        Args:
            prompt: a question, or messages in OpenAI's chat form.
            system: an instruction that goes before it.
            model: one of the operator's models; the default one when empty.
            tools: what the model may ask for, each with `name`, `description` and `parameters`, a JSON Schema.
            schema: the answer is JSON of this JSON Schema.
            max_tokens: of the answer; the kernel sets 1,024 when there is none.
            temperature: 0 and up.
            seed: where the model can repeat itself.
            stop: texts at which the answer ends.
            fresh: as for `llm`.

        Raises:
            Einval: the model has no tools, pictures or schemas; `detail["feature"]` says which.
            Emodel: the endpoint failed, and trying again did not help.
            Eperm: `model` is not pledged, or a picture is named by an address.
        """
        options = _options(
            schema=schema, max_tokens=max_tokens, temperature=temperature, seed=seed,
            stop=None if stop is None else list(stop), tools=[dict(tool) for tool in tools] or None,
            fresh=fresh or None,
        )  # fmt: skip
        return read_answer(await self.calls.model_chat(_messages(prompt, system), model, options))

    async def ask(
        self, prompt: Prompt, schema: Schema, *, system: str = "", model: str = "", max_tokens: int | None = None,
        temperature: float | None = None, seed: int | None = None, fresh: bool = False,
    ) -> Any:  # fmt: skip
        """Ask the model for an object of `schema`, a JSON Schema, and give it, read.

        Raises:
            Emodel: as `llm`; or cause `not_json`, where the answer was cut short.
            Einval: the model takes no schemas.
        """
        answer = await self.chat(
            prompt, system=system, model=model, schema=schema, max_tokens=max_tokens, temperature=temperature,
            seed=seed, fresh=fresh,
        )  # fmt: skip
        return answer.json()

    async def embed(self, texts: Sequence[str], *, model: str = "") -> list[list[float]]:
        """One vector a text, all of one length. Raises Emodel, and Einval where the model gives none."""
        vectors = await self.calls.model_embed(list(texts), model)
        return [list(struct.unpack(f"<{len(vector) // 4}f", vector)) for vector in vectors]
