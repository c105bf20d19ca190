"""The models of a fleet: what the kernel knows them by, and the drivers that ask them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

from prytany.abi.errors import Einval
from prytany.ports.model import Embedded, Model, ModelAnswer, ModelFeatures, ModelRequest, Prices
from prytany.system.fleet.form import Model as Form
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.secrets import read_secret


def names_of(fleet: ResolvedFleet, number: int) -> dict[str, str]:
    """By the fleet's name of each model, the kernel's: the number keeps two fleets' models apart."""
    return {name: f"{number}/{name}" for name in fleet.models}


def open_fleet_models(
    fleet: ResolvedFleet, number: int, kept: Mapping[str, tuple[object, Model]],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, Model]:  # fmt: skip
    """The models of a fleet by the kernel's names. One model file is one process, whoever names it how often.

    Args:
        fleet: as it is brought.
        number: the kernel's of it.
        kept: those that are open, with what was said of them: the ones of this machine stay open where nothing changed.
        environment: where secrets are taken from.

    Raises:
        Enoent, Eacces, Einval: a secret cannot be had, or a model's file cannot be used.
    """
    opened: dict[str, Model] = {}
    shared: dict[str, Model] = {}
    for name, form in fleet.models.items():
        said, open_already = kept.get(name, (None, None))
        if said == form and form.driver != "openai" and open_already is not None:
            opened[f"{number}/{name}"] = open_already
            continue
        made = shared.get(form.file or "") if form.driver == "local" else None
        made = made or _open(fleet, name, form, environment)
        if form.driver == "local":
            shared[form.file or ""] = made
        if form.tools == "schema" and form.driver != "local":  # that one is forced anyway
            from prytany.drivers.models.forced import ForcedTools

            made = ForcedTools(made)
        at_once = form.limits.concurrency if form.limits else None
        opened[f"{number}/{name}"] = made if at_once is None else Limited(made, at_once)
    return opened


def _open(fleet: ResolvedFleet, name: str, form: Form, environment: Mapping[str, str]) -> Model:
    if form.driver == "scripted":
        from prytany.drivers.models.scripted import ScriptedModel

        try:
            return ScriptedModel.load(Path(form.file)) if form.file else ScriptedModel()
        except (OSError, ValueError) as error:
            raise Einval(f"the script of the model {name!r} cannot be used: {error}") from None
    if form.driver == "local":
        from prytany.system.models import open_local

        return open_local(form.file or "local")
    from prytany.drivers.models.openai import OpenAINative

    assert form.model is not None
    assert form.base_url is not None
    secret = form.key.secret if form.key else ""
    key = read_secret(secret, fleet.secrets[secret], fleet.folder, environment) if secret else None
    prices = Prices(form.prices.input, form.prices.output) if form.prices else None
    return OpenAINative(form.model, base_url=form.base_url, key=key, prices=prices)


class Limited:
    """A model that is asked so many things at a time; the others wait for their turn, first come, first served."""

    def __init__(self, model: Model, at_once: int) -> None:
        self._model = model
        self._places = asyncio.Semaphore(at_once)

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._model.name

    @property
    def features(self) -> ModelFeatures:
        """What it can do."""
        return self._model.features

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        async with self._places:
            return await self._model.chat(request)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; raises ModelFailure."""
        async with self._places, aclosing(self._model.stream(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def embed(self, texts: list[str]) -> Embedded:
        """One vector a text; raises ModelFailure."""
        async with self._places:
            return await self._model.embed(texts)

    async def close(self) -> None:
        """Let go of connections and processes."""
        await self._model.close()
