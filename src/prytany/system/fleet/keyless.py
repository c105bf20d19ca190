"""A model whose key cannot be had: a fleet that is up comes back without it, and who asks it waits for a person."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest

FEATURES = ModelFeatures(streaming=True, tools=True, json_schema=True, images=True, embeddings=True)


class KeylessModel:
    """Fails each call as an endpoint does that refuses the key, until its fleet is brought again with one."""

    def __init__(self, name: str, why: str) -> None:
        """`why` is what is wrong with the key."""
        self._name = name
        self._why = why

    @property
    def why(self) -> str:
        """What is wrong with the key."""
        return self._why

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._name

    @property
    def features(self) -> ModelFeatures:
        """All, since nobody knows: a call is not to fail for another reason than the key."""
        return FEATURES

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """Raises ModelFailure, `bad_key`."""
        raise self._failure()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Raises ModelFailure, `bad_key`."""
        raise self._failure()
        yield ""

    async def embed(self, texts: list[str]) -> Embedded:
        """Raises ModelFailure, `bad_key`."""
        raise self._failure()

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _failure(self) -> ModelFailure:
        return ModelFailure("bad_key", self._why, retryable=False)
