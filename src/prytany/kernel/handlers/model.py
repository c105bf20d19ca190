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
    """One request. Where it may begin, the most that it can take, its context included, is reserved in the entry of
    its intent; else that says that it waits for its turn."""
    chat = chat_of(a)
    model = _model(k, p, a.model, "model_chat")
    for feature in chat.needs():
        _require(model, feature, "model_chat")
    endpoint = k.endpoint_name(p, a.model)
    if not a.context:
        turn = k.model_turns.ask(p, n, reserve_chat(p.pid, n, endpoint, model, chat))
        return Opened(0, (turn.event,), work=chat, turn=turn)
    head = require_head(k, p, a.context, "model_chat")
    if head.images:
        _require(model, "images", "model_chat")
    asked = ask_in(k, p, n, a.messages, a.context)
    turn = k.model_turns.ask(p, n, reserve_chat(p.pid, n, endpoint, model, chat, context_bound(head)))
    return Opened(a.context, (turn.event, asked), work=chat, turn=turn)


def sys_model_embed(k: Context, p: Process, n: int, a: Any) -> Opened:
    """As a chat, for vectors."""
    check_texts(a.texts)
    model = _model(k, p, a.model, "model_embed")
    _require(model, "embeddings", "model_embed")
    turn = k.model_turns.ask(p, n, reserve_embed(p.pid, n, k.endpoint_name(p, a.model), model, a.texts))
    return Opened(0, (turn.event,), turn=turn)


def _model(k: Context, p: Process, name: str, call: str) -> Model:
    model = k.model(p, name)
    if model is None:
        raise Enoent(f"there is no model {name or p.model!r}", call=call)
    return model


def _require(model: Model, feature: str, call: str) -> None:
    if not getattr(model.features, feature):
        raise Einval(f"the model {model.name!r} has no {feature}", call=call, detail={"feature": feature})
