"""What a program asks of a model, checked for its form and bounded: by the handler, which refuses, and hands what it
found sound to the effect, which asks; by the effect itself only where it begins again from what was recorded.

It looks at the form alone: what a message says is the model's affair. A picture travels within the message; an address
of one is refused, because the provider would fetch it, and that is a way out for whoever writes the address.

Source: OpenAI's chat form, of which this takes a part.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from prytany.abi import limits
from prytany.abi.errors import Einval, Eperm
from prytany.ports.model import ModelRequest, ToolSpec

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_BYTES_MAX)]


class _Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: _Name
    parameters: dict[str, Any] = {}
    description: str = ""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of `model_chat`."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=limits.MODEL_TOKENS_MAX)] = limits.MODEL_MAX_TOKENS
    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    seed: int | None = None
    stop: Annotated[list[str], msgspec.Meta(max_length=limits.MODEL_STOPS_MAX)] = []
    schema: dict[str, Any] | None = None
    tools: Annotated[list[_Tool], msgspec.Meta(max_length=limits.MODEL_TOOLS_MAX)] = []
    stream: bool = False
    fresh: bool = False
    instructed: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text"):
    text: str


class _Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="image"):
    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
    data: Annotated[bytes, msgspec.Meta(min_length=1)]


class _Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class _ImageAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="image_url"):
    image_url: _Address


class _AskedFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    function: _AskedFunction
    type: Literal["function"] = "function"


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Text | _Image | _ImageAddress] | None
    name: str | None = None
    tool_calls: list[_Asked] | None = None
    tool_call_id: str | None = None


class Chat(msgspec.Struct, frozen=True, gc=False):
    """A `model_chat` that was found sound."""

    request: ModelRequest
    stream: bool
    images: int
    model: str = ""
    """As the caller named it; empty for its process's own."""
    context: int = 0
    fresh: bool = False
    """It is asked, whatever was answered before or is about to be."""
    instructed: int | None = None
    """Which message of the context stands first, in place of the system messages before it."""

    def needs(self) -> list[str]:
        """The features of an endpoint without which it cannot be asked. A stream can be done without."""
        if not self.images and not self.request.tools and self.request.schema is None:
            return []
        wanted = {"images": self.images, "tools": self.request.tools, "json_schema": self.request.schema is not None}
        return [feature for feature, needed in wanted.items() if needed]


def needs_in(needs: list[str], images: int) -> list[str]:
    """The same in a context that holds so many pictures."""
    return [*needs, "images"] if images and "images" not in needs else needs


def check_messages(messages: list[dict[str, Any]], call: str) -> int:
    """How many pictures are in `messages`.

    Raises:
        Einval: they are not of the form.
        Eperm: a picture is named by an address.
    """
    try:
        # Bytes have to be bytes: by default a text would be taken for base64.
        checked = msgspec.convert(messages, list[_Message], builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Einval(f"the messages do not fit: {error}", call=call) from None
    images = 0
    for message in checked:
        if message.content.__class__ is not str:
            images += _check_message(message, call)
    return images


def chat_of(args: Any) -> Chat:
    """The request that the arguments of `model_chat` stand for. Raises as `read_chat`."""
    return read_chat(args.messages, args.options, args.model, args.context)


def read_chat(messages: list[dict[str, Any]], options: dict[str, Any], model: str = "", context: int = 0) -> Chat:
    """A request, checked.

    Args:
        messages: what the model is told.
        options: how it is asked.
        model: whom; the process's own when empty.
        context: in which there are messages before them, so that there may be none here; or 0.

    Raises:
        Einval: they are not of the form.
        Eperm: a picture is named by an address.
    """
    if not messages and not context:
        raise Einval("a model needs at least one message", call="model_chat")
    images = check_messages(messages, "model_chat")
    try:
        given = msgspec.convert(options, Options)
    except msgspec.ValidationError as error:
        raise Einval(f"the options do not fit: {error}", call="model_chat") from None
    if given.instructed is not None and not context:
        raise Einval("`instructed` names a message of a context, and this call is in none", call="model_chat")
    tools = [ToolSpec(tool.name, tool.description, tool.parameters) for tool in given.tools]
    request = ModelRequest(
        messages, given.max_tokens, given.temperature, given.seed, given.stop, given.schema, tools
    )  # fmt: skip
    return Chat(request, given.stream, images, model, context, given.fresh, given.instructed)


def led(messages: list[dict[str, Any]], instructed: int | None) -> list[dict[str, Any]]:
    """A conversation, told by the instruction of who is asked now: that message stands first, and the system messages
    before it, which told others, are left out. What was said since stays where it is, so that each turn's request
    begins with the one before it."""
    if instructed is None:
        return messages
    before = [message for message in messages[:instructed] if message["role"] != "system"]
    return [messages[instructed], *before, *messages[instructed + 1 :]]


def _check_message(message: _Message, call: str) -> int:
    """How many pictures are in it."""
    if message.content is None:
        if message.role != "assistant":
            raise Einval("only an assistant's message may be without content", call=call)
        return 0
    if isinstance(message.content, str):
        return 0
    for part in message.content:
        if isinstance(part, _ImageAddress) and not part.image_url.url.startswith("data:"):
            raise Eperm("a picture is given by its bytes: an address would give the network to it", call=call)
    return sum(not isinstance(part, _Text) for part in message.content)


def check_texts(texts: list[str]) -> None:
    """Raise Einval for what `model_embed` does not take."""
    if not 0 < len(texts) <= limits.EMBED_TEXTS_MAX:
        raise Einval(f"1 to {limits.EMBED_TEXTS_MAX} texts go into one call", call="model_embed")
    if not all(texts):
        raise Einval("an empty text has no place among others", call="model_embed")
