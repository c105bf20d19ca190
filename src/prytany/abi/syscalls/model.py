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
        ),
        "dict[str, Any]",
        {
            "ENOENT": "no model of that name",
            "EMODEL": "the endpoint failed, and trying again did not help; `cause` says how",
        },
        "Ask a model, and answer text, tool_calls, finish and usage.",
    ),
)
