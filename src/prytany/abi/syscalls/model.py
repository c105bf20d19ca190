"""Asking models."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "model_chat",
        "model",
        (
            Argument("messages", "list[dict[str, Any]]", "role and content, OpenAI's chat form"),
            Argument("model", "str", "the model's name; the default one when empty", ""),
            Argument("options", "dict[str, Any]", "max_tokens, temperature, seed, stop, schema, tools", {}),
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
            "EMODEL": "the endpoint failed, and trying again did not help; `cause` says how",
        },
        "Ask a model, and answer text, tool_calls, finish and usage; in a context also node and length.",
    ),
)
