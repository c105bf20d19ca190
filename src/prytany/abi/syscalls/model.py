"""Asking models."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "model_chat",
        "model",
        (
            Argument(
                "messages",
                "list[dict[str, Any]]",
                "role and content, OpenAI's chat form; pictures as `image` parts or `data:` addresses",
            ),
            Argument("model", "str", "the model's name; the default one when empty", ""),
            Argument(
                "options",
                "dict[str, Any]",
                "max_tokens, temperature, seed, stop, schema, tools, stream; `fresh`: it is asked anew",
                {},
            ),
            Argument(
                "context",
                "int",
                "one's own: the model is asked it and `messages`; it keeps both and the answer, if there is one",
                0,
            ),
        ),
        "dict[str, Any]",
        {
            "ENOENT": "no model of that name, or no context of that number",
            "EBUSY": "a model is being asked in that context",
            "EDQUOT": "that context is full",
            "EIO": "content of that context was forgotten or damaged",
            "EPERM": "a picture is named by an address, which would give the network to whoever writes it",
            "EINVAL": "not of that form; or the model has not the feature that is asked for, which `feature` names",
            "EMODEL": "the endpoint failed, and trying again did not help; `cause` says how, `interrupted` of a stream",
        },
        "Ask a model. With `stream`, the text comes in pieces first. In a context, answers also `node` and `length`.",
    ),
    Syscall(
        "model_embed",
        "model",
        (
            Argument("texts", "list[str]", "none of them empty"),
            Argument("model", "str", "the model's name; the default one when empty", ""),
        ),
        "list[bytes]",
        {
            "ENOENT": "no model of that name",
            "EINVAL": "no texts, an empty one or too many; or the model gives no embeddings",
            "EMODEL": "the endpoint failed, and trying again did not help; `cause` says how",
        },
        "Turn texts into vectors of one length, each as little-endian float32.",
    ),
)
