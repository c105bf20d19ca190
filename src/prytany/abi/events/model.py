"""Events of models."""

from __future__ import annotations

import msgspec


class ModelUsed(msgspec.Struct, array_like=True, frozen=True, tag="model.used/1"):
    """What one attempt at a model took, whether or not it was answered."""

    pid: int
    n: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd_micros: int
    took_us: int
    cause: str = ""
