"""Asking models. Its form is checked here; what a request says is the model's affair."""

from __future__ import annotations

from typing import Any

from prytany.abi.errors import Einval, Enoent
from prytany.kernel.handlers.context import ask_in, require_head
from prytany.kernel.outcome import Context, Opened
from prytany.kernel.requests import chat_of, check_texts
from prytany.kernel.reserve import context_bound, reserve_chat, reserve_embed
from prytany.ports.model import Model
from prytany.process.process import Process


def sys_model_chat(k: Context, p: Process, n: int, a: Any) -> Opened:
    """One request; the most that it can take, its context included, is reserved in the entry of its intent."""
    chat = chat_of(a)
    model = _model(k, p, a.model, "model_chat")
    for feature in chat.needs():
        _require(model, feature, "model_chat")
    if not a.context:
        return Opened(0, (reserve_chat(p.pid, n, model, chat),), work=chat)
    head = require_head(k, p, a.context, "model_chat")
    if head.images:
        _require(model, "images", "model_chat")
    asked = ask_in(k, p, n, a.messages, a.context)
    return Opened(a.context, (reserve_chat(p.pid, n, model, chat, context_bound(head)), asked), work=chat)


def sys_model_embed(k: Context, p: Process, n: int, a: Any) -> Opened:
    """As a chat, for vectors."""
    check_texts(a.texts)
    model = _model(k, p, a.model, "model_embed")
    _require(model, "embeddings", "model_embed")
    return Opened(0, (reserve_embed(p.pid, n, model, a.texts),))


def _model(k: Context, p: Process, name: str, call: str) -> Model:
    model = k.model(p, name)
    if model is None:
        raise Enoent(f"there is no model {name or p.model!r}", call=call)
    return model


def _require(model: Model, feature: str, call: str) -> None:
    if not getattr(model.features, feature):
        raise Einval(f"the model {model.name!r} has no {feature}", call=call, detail={"feature": feature})
