"""Asking models. Its form is checked here; what a request says is the model's affair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prytany.abi.errors import Einval, Enoent
from prytany.kernel.handlers.context import ask_in, require_head
from prytany.kernel.models.requests import chat_of, check_texts, needs_in
from prytany.kernel.models.reserve import chat_bound, context_bound, prompt_bound, reserve_chat, reserve_embed
from prytany.kernel.outcome import Context, Opened
from prytany.ports.model import Model
from prytany.process.process import Process


def sys_model_chat(k: Context, p: Process, n: int, a: Any) -> Opened:
    """One request. Where it may begin, the most that it can take, its context included, is reserved in the entry of
    its intent; else that says that it waits for its turn."""
    chat = chat_of(a)
    needs = chat.needs()
    if not a.context:
        endpoint, model = _model(k, p, a.model, "model_chat", lambda: chat_bound(chat), needs)
        turn = k.model_sparing.ask(p, n, chat, None, reserve_chat(p.pid, n, endpoint, model, chat), needs)
        return Opened(0, (turn.event,), work=chat, turn=turn)
    head = require_head(k, p, a.context, "model_chat")
    if chat.instructed is not None and chat.instructed >= head.length:
        raise Einval(f"the context has no message {chat.instructed}", call="model_chat")
    before, needs = context_bound(head), needs_in(needs, head.images)
    endpoint, model = _model(k, p, a.model, "model_chat", lambda: before + chat_bound(chat), needs)
    asked = ask_in(k, p, n, a.messages, a.context)
    turn = k.model_sparing.ask(p, n, chat, head, reserve_chat(p.pid, n, endpoint, model, chat, before), needs)
    return Opened(a.context, (turn.event, asked), work=chat, turn=turn)


def sys_model_embed(k: Context, p: Process, n: int, a: Any) -> Opened:
    """As a chat, for vectors."""
    check_texts(a.texts)
    endpoint, model = _model(k, p, a.model, "model_embed", lambda: prompt_bound(a.texts), ["embeddings"])
    turn = k.model_turns.ask(p, n, reserve_embed(p.pid, n, endpoint, model, a.texts), ["embeddings"])
    return Opened(0, (turn.event,), turn=turn)


def _model(
    k: Context, p: Process, name: str, call: str, prompt: Callable[[], int], needs: list[str]
) -> tuple[str, Model]:  # fmt: skip
    """The model of a call, after its kernel's name. Raises Enoent, and Einval where it lacks what is needed."""
    endpoint = k.model_routes.choose(p, k.endpoint_name(p, name), prompt, needs)
    model = k.endpoint(endpoint)
    if model is None:
        raise Enoent(f"there is no model {name or p.model!r}", call=call)
    for feature in needs:
        if not getattr(model.features, feature):
            raise Einval(f"the model {model.name!r} has no {feature}", call=call, detail={"feature": feature})
    return endpoint, model
