"""The models of a fleet: what the kernel knows them by, and the drivers that ask them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from prytany.abi.errors import Einval, KernelError
from prytany.ports.model import Model
from prytany.system.fleet.form import Model as Form
from prytany.system.fleet.form_terms import Limits, Spares
from prytany.system.fleet.keyless import AbsentModel
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.secrets import read_secret
from prytany.system.fleet.switched import Opened, SwitchedModel, Terms
from prytany.system.looks import stamp_of


class ReadyModel(NamedTuple):
    """What a model of a fleet is to be: its driver, which may be open already, and what stands around it."""

    opened: Opened
    terms: Terms
    """In the fleet's names."""

    def of(self, number: int) -> tuple[Opened, Terms]:
        """The same as the kernel knows it; the fleet has that number."""
        terms = self.terms
        routes = tuple(msgspec.structs.replace(route, model=name_of(number, route.model)) for route in terms.routes)
        fallback = tuple(name_of(number, name) for name in terms.fallback)
        return self.opened, msgspec.structs.replace(terms, routes=routes, fallback=fallback)


def name_of(number: int, name: str) -> str:
    """The kernel's name of a fleet's model: the number keeps two fleets' models apart."""
    return f"{number}/{name}"


def is_of_fleet(name: str) -> bool:
    """Whether the kernel's name of a model is one of a fleet's, be the fleet or the model there or not."""
    return name.partition("/")[0].isdecimal()


def names_of(fleet: ResolvedFleet, number: int) -> dict[str, str]:
    """By the fleet's name of each model, the kernel's."""
    return {name: name_of(number, name) for name in fleet.models}


def ready_models(
    fleet: ResolvedFleet, kept: Mapping[str, SwitchedModel], environment: Mapping[str, str] = os.environ,
    *, lenient: bool = False,
) -> dict[str, ReadyModel]:  # fmt: skip
    """The models of a fleet by its names, opened where they are not. What is opened by the same is one driver, whoever
    names it how often: of a model file one process.

    Args:
        fleet: as it is brought.
        kept: those that are open; a driver stays where nothing changed that it was opened by.
        environment: where secrets are taken from.
        lenient: go without a key that cannot be had, and without a model that could be opened and cannot any more: who
            asks it waits for a person.

    Raises:
        Enoent, Eacces, Einval: a secret cannot be had, or a model's file cannot be used.
    """
    ready: dict[str, ReadyModel] = {}
    known = {model.opened.by: model.opened for model in kept.values()}
    for name, form in fleet.models.items():
        plain = msgspec.structs.replace(
            form, limits=None, policy=None, preempts=None, spares=None, routes=None, fallback=None,
            prices=form.prices if form.driver == "openai" else None,
        )  # fmt: skip
        absent, key = None, None
        try:
            key = _key(fleet, form, environment)
        except KernelError as error:
            if not lenient:
                raise
            absent = AbsentModel(name, "bad_key", error.message)
        by = (plain, key, _stamp(form.file))
        if (opened := known.get(by)) is None or (absent is None and isinstance(opened.model, AbsentModel)):
            there = kept.get(name)
            had = not kept or (there is not None and there.opened.by[0] == plain)  # else the file says something new
            opened = known[by] = Opened(absent or _model(name, form, key, lenient=lenient and had), *by)
        ready[name] = ReadyModel(opened, terms_of(form))
    return ready


def terms_of(form: Form) -> Terms:
    """What is said around a model's driver, in the fleet's names."""
    limits, spares = form.limits or Limits(), form.spares or Spares()
    return Terms(
        concurrency=limits.concurrency or 0,
        requests_per_minute=limits.requests_per_minute or 0,
        tokens_per_minute=limits.tokens_per_minute or 0,
        policy=form.policy or "",
        preempts=form.preempts or "",
        coalesce=spares.twins,
        answers_bytes=spares.answers_bytes or 0,
        same_at_zero=spares.same_at_zero,
        prices=form.prices.known if form.prices and form.driver != "openai" else None,
        routes=tuple(route.known for route in form.routes or ()),
        fallback=tuple(form.fallback or ()),
    )


def _model(name: str, form: Form, key: str | None, *, lenient: bool) -> Model:
    try:
        return _forced(form, _open(name, form, key))
    except KernelError as error:
        if not lenient:
            raise
        return AbsentModel(name, "not_there", error.message)


def _forced(form: Form, model: Model) -> Model:
    """The model, with tools where it cannot call any by itself; the local one is forced in any case."""
    if form.tools != "schema" or form.driver == "local":
        return model
    from prytany.drivers.models.forced import ForcedTools

    return ForcedTools(model)


def _key(fleet: ResolvedFleet, form: Form, environment: Mapping[str, str]) -> str | None:
    secret = form.key.secret if form.key else ""
    return read_secret(secret, fleet.secrets[secret], fleet.folder, environment) if secret else None


def _stamp(file: str | None) -> object:
    """What tells one content of a model's file from another."""
    try:
        return stamp_of(os.stat(file)) if file else None
    except OSError:  # opening it says why
        return None


def _open(name: str, form: Form, key: str | None) -> Model:
    if form.driver == "scripted":
        from prytany.drivers.models.scripted import ScriptedModel

        try:
            return ScriptedModel.load(Path(form.file)) if form.file else ScriptedModel()
        except (OSError, ValueError) as error:
            broken = Einval(f"the script of the model {name!r} cannot be used: {error}")
            broken.add_note(f'mend {form.file}: it holds {{"rules": [{{"when": "…", "text": "…"}}]}}, and no more')
            raise broken from None
    if form.driver == "local":
        from prytany.system.models import open_local

        return open_local(form.file or "local")
    from prytany.drivers.models.openai import OpenAINative

    assert form.model is not None
    assert form.base_url is not None
    prices = form.prices.known if form.prices else None
    return OpenAINative(form.model, base_url=form.base_url, key=key, prices=prices)
