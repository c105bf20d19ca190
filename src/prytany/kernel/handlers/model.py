"""Asking models."""

from __future__ import annotations

from typing import Any

from prytany.abi.errors import Einval, Enoent
from prytany.kernel.handlers.context import ask_in
from prytany.kernel.outcome import Context, Opened
from prytany.process.process import Process

OPTIONS = {"max_tokens", "temperature", "seed", "stop", "schema", "tools"}


def sys_model_chat(k: Context, p: Process, n: int, a: Any) -> Opened:
    """The request is checked for its form here; what it says is the model's affair."""
    if not a.messages and not a.context:
        raise Einval("a model needs at least one message", call="model_chat")
    for message in a.messages:
        if not isinstance(message.get("role"), str) or "content" not in message:
            raise Einval("every message needs a role and a content", call="model_chat")
    unknown = sorted(set(a.options) - OPTIONS)
    if unknown:
        raise Einval(f"there is no option {unknown[0]!r}; there are {', '.join(sorted(OPTIONS))}", call="model_chat")
    max_tokens = a.options.get("max_tokens", 1)
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise Einval("max_tokens has to be a whole number from 1", call="model_chat")
    if not k.has_model(a.model or p.model):
        raise Enoent(f"there is no model {a.model or p.model!r}", call="model_chat")
    if a.context:
        return Opened(a.context, (ask_in(k, p, n, a.messages, a.context),))
    return Opened()
