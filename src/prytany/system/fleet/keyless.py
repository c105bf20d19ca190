"""A model whose key or file cannot be had: a fleet that is up comes back without it, and who asks it waits for a
person."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest

FEATURES = ModelFeatures(streaming=True, tools=True, json_schema=True, images=True, embeddings=True)


class AbsentModel:
    """Fails each call as an endpoint does that refuses the key, until its fleet is brought again with what it lacks."""

    def __init__(self, name: str, kind: str, why: str) -> None:
        """`kind` is `bad_key`, or `not_there`; `why` says what is wrong."""
        self._name = name
        self._kind = kind
        self._why = why

    @property
    def why(self) -> str:
        """What is wrong."""
        return self._why

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._name

    @property
    def features(self) -> ModelFeatures:
        """All, since nobody knows: a call is not to fail for another reason."""
        return FEATURES

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """Raises ModelFailure."""
        raise self._failure()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Raises ModelFailure."""
        raise self._failure()
        yield ""

    async def embed(self, texts: list[str]) -> Embedded:
        """Raises ModelFailure."""
        raise self._failure()

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _failure(self) -> ModelFailure:
        return ModelFailure(self._kind, self._why, retryable=False)
