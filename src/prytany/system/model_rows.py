"""Which models there are: Prytany's own, the files of one's own, the endpoint of the environment, and those of a fleet.

Nothing is asked and nothing is loaded: what is said of a model is what its file's first bytes, the environment and the
fleet file say. Of a key it is said whether there is one, and an address is shown without what may be a password in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from prytany.abi.errors import KernelError
from prytany.drivers.models.prices import FREE, Prices, listed_prices
from prytany.drivers.models.weights import FILE_BYTES, GET_ENGINE, NO_ENGINE, cache_path, find_weights, has_engine
from prytany.system.gguf import look_at
from prytany.system.model_files import own_files
from prytany.system.models import DEFAULT, REMOTE, name_model

if TYPE_CHECKING:
    from prytany.system.fleet.form import Model as Form
    from prytany.system.fleet.resolved import ResolvedFleet

NOT_FETCHED = "not fetched: prytany models fetch"
_NO_ENGINE = f"{NO_ENGINE}: {GET_ENGINE}"


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model, as far as it is seen without asking it."""

    name: str
    """What `--model` takes, or a fleet's name of it."""
    source: str
    """`prytany`, `folder`, `environment` or `fleet`."""
    driver: str
    default: bool = False
    """It is asked where nothing says which model."""
    ready: bool = True
    fault: str = ""
    """Why it is not ready, in words."""
    path: str = ""
    bytes: int = 0
    endpoint: str = ""
    model: str = ""
    """The endpoint's own name of it."""
    key: bool | None = None
    """Whether its key is there; None where it has none."""
    prices: Prices | None = None
    """US dollars a million tokens; None where they are not known."""
    concurrency: int | None = None
    """How many requests at a time a fleet lets through; None where it does not say."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    policy: str | None = None
    """In which order calls begin that wait; None where its fleet does not say."""
    fallback: list[str] = []
    """Who stands in for it, by the fleet's names."""
    routes: int = 0
    """How many routes of it there are."""


def list_models(fleet: ResolvedFleet | None = None) -> tuple[list[ModelRow], str]:
    """The models, and what of the environment is wrong, in words; "" where nothing is.

    Args:
        fleet: whose models are listed too.
    """
    wrong, default = "", ""
    try:
        default = name_model("")
    except KernelError as error:
        wrong = error.message
    rows = [_embedded(default)]
    try:
        for own in own_files():
            fault = own.fault if has_engine() else _NO_ENGINE
            rows.append(
                ModelRow(
                    name=own.name, source="folder", driver="local", default=default == str(own.path),
                    ready=not fault, fault=fault, path=str(own.path), bytes=own.file_bytes, prices=FREE,
                )
            )  # fmt: skip
    except KernelError as error:
        wrong = error.message
    if default.startswith("/") and not any(row.default for row in rows):
        rows.append(_file(default, default, "environment", default=True))
    if os.environ.get("PRYTANY_MODEL_URL") or os.environ.get(DEFAULT) == "remote":
        rows.append(_remote(default))
    rows.append(
        ModelRow(name="scripted", source="prytany", driver="scripted", default=default == "scripted", prices=FREE)
    )
    if fleet is not None:
        rows += [_of_fleet(fleet, name, form) for name, form in fleet.models.items()]
    return rows, wrong


def _embedded(default: str) -> ModelRow:
    path = find_weights()
    fault = ("" if path else NOT_FETCHED) if has_engine() else _NO_ENGINE
    return ModelRow(
        name="local", source="prytany", driver="local", default=default == "local", ready=not fault,
        fault=fault, path=str(path or cache_path()), bytes=FILE_BYTES, prices=FREE,
    )  # fmt: skip


def _file(name: str, path: str, source: str, **more: Any) -> ModelRow:
    """A model file that is named by its path."""
    fault, size = "" if has_engine() else _NO_ENGINE, 0
    try:
        size = look_at(Path(path)).file_bytes
    except KernelError as error:
        fault = error.message
    return ModelRow(
        name=name, source=source, driver="local", path=path, bytes=size, ready=not fault, fault=fault, prices=FREE,
        **more,
    )  # fmt: skip


def _remote(default: str) -> ModelRow:
    url, fault = os.environ.get("PRYTANY_MODEL_URL", ""), ""
    model = os.environ.get("PRYTANY_MODEL_NAME", "")
    try:
        name_model("remote")
    except KernelError as error:
        fault = error.message
    return ModelRow(
        name="remote", source="environment", driver="openai", default=default.startswith(REMOTE), ready=not fault,
        fault=fault, endpoint=shown_address(url), model=model, key=bool(os.environ.get("PRYTANY_MODEL_KEY")),
        prices=None if fault else listed_prices(model, url),
    )  # fmt: skip


def _of_fleet(fleet: ResolvedFleet, name: str, form: Form) -> ModelRow:
    said = msgspec.structs.asdict(form.limits) if form.limits else {}
    common: dict[str, Any] = {
        "source": "fleet", "default": False, **said, "policy": form.policy, "fallback": form.fallback or [],
        "routes": len(form.routes or ()),
    }  # fmt: skip
    if form.driver == "local":
        if form.file:
            return _file(name, form.file, **common)
        return msgspec.structs.replace(_embedded(""), name=name, **common)
    if form.driver == "scripted":
        fault = _script_fault(form.file) if form.file else ""
        return ModelRow(
            name=name, driver="scripted", path=form.file or "", prices=FREE, ready=not fault, fault=fault, **common
        )
    fault = _key_fault(fleet, form)
    prices = form.prices.known if form.prices else None
    url, model = form.base_url or "", form.model or ""
    return ModelRow(
        name=name, driver="openai", endpoint=shown_address(url), model=model, ready=not fault, fault=fault,
        key=not fault if form.key else None, prices=prices or listed_prices(model, url), **common,
    )  # fmt: skip


def _script_fault(path: str) -> str:
    """Why a script cannot be used, "" where it can."""
    from prytany.drivers.models.scripted import ScriptedModel

    try:
        ScriptedModel.load(Path(path))
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _key_fault(fleet: ResolvedFleet, form: Form) -> str:
    """Why a model's key cannot be had, "" where it can; the key itself goes nowhere."""
    from prytany.system.fleet.secrets import read_secret

    if form.key is None:
        return ""
    try:
        read_secret(form.key.secret, fleet.secrets[form.key.secret], fleet.folder, os.environ)
    except KernelError as error:
        return error.message
    return ""


def shown_address(url: str) -> str:
    """An address without user, password, query and fragment, any of which can be a secret."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
