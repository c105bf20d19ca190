"""The list of models: each source, what is asked by default, and never a key."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from prytany.drivers.models import weights
from prytany.ports.model import Prices
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from prytany.system.model_check import check_models
from prytany.system.model_rows import ModelRow, list_models, shown_address
from tests.unit.system.model_files import gguf

KEY = "-".join(("sk", "very", "secret", "0123456789"))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without weights and endpoint, with a folder of models."""
    for name in ("PRYTANY_MODEL", "PRYTANY_MODEL_URL", "PRYTANY_MODEL_NAME", "PRYTANY_MODEL_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PACKAGE", "prytany_nonesuch")
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("PRYTANY_MODELS", str(tmp_path / "models"))
    return tmp_path


def rows(fleet: ResolvedFleet | None = None) -> dict[str, ModelRow]:
    found, wrong = list_models(fleet)
    assert wrong == ""
    assert KEY.encode() not in msgspec.json.encode(found)
    return {row.name: row for row in found}


def defaults() -> list[str]:
    return [row.name for row in rows().values() if row.default]


def test_each_source_is_listed_and_the_default_is_marked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = place / "models" / "small.gguf"
    own.write_bytes(gguf())
    assert list(rows()) == ["local", "small", "scripted"]
    assert not rows()["local"].ready
    assert rows()["small"].ready
    assert rows()["small"].bytes == len(gguf())
    assert defaults() == ["local"]
    monkeypatch.setenv("PRYTANY_MODEL_URL", "https://me:hidden@models.example:8/v1?token=hidden")
    monkeypatch.setenv("PRYTANY_MODEL_NAME", "large")
    assert (rows()["remote"].endpoint, rows()["remote"].key) == ("https://models.example:8/v1", False)
    monkeypatch.setenv("PRYTANY_MODEL_KEY", KEY)
    assert rows()["remote"].key is True
    assert defaults() == ["remote"]
    for value, name in (("small", "small"), (str(own), "small"), ("scripted", "scripted"), ("local", "local")):
        monkeypatch.setenv("PRYTANY_MODEL", value)
        assert defaults() == [name]
    elsewhere = place / "elsewhere.gguf"
    monkeypatch.setenv("PRYTANY_MODEL", str(elsewhere))
    assert defaults() == [str(elsewhere)]
    assert not rows()[str(elsewhere)].ready


def test_what_is_wrong_in_the_environment_is_said_and_the_rest_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PRYTANY_MODEL", "nothing"), ("PRYTANY_MODEL_URL", "http://["), ("PRYTANY_MODELS", "/no")):
        monkeypatch.setenv(name, value)
        found, wrong = list_models()
        assert wrong
        assert {"local", "scripted"} <= {row.name for row in found}


FLEET = """
version: 1
name: f
entry: one
models:
  big: {driver: openai, base_url: "https://models.example/v1", model: big, key: {secret: provider},
        prices: {input: 1, output: 2}, policy: fair_share, fallback: [own], routes: [{qos: utility, model: own}],
        limits: {concurrency: 3, requests_per_minute: 60, tokens_per_minute: 9000}}
  open: {driver: openai, base_url: "http://127.0.0.1:9/v1", model: tiny}
  own: {driver: local, file: m.gguf}
  here: {driver: local}
  dry: {driver: scripted}
  broken: {driver: scripted, file: script.json}
secrets: {provider: {env: PROVIDER_KEY}}
agents: {one: {instruction: Answer., model: big}}
"""


def test_a_fleets_models_are_listed_with_whether_their_key_is_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "fleet.yaml").write_text(FLEET)
    (place / "m.gguf").write_bytes(b"no model")
    (place / "script.json").write_text('{"rules": 7}')
    fleet = resolve(load_fleet(place / "fleet.yaml").fleet, place, {})
    monkeypatch.delenv("PROVIDER_KEY", raising=False)
    assert (rows(fleet)["big"].key, rows(fleet)["big"].ready) == (False, False)
    monkeypatch.setenv("PROVIDER_KEY", KEY)
    found = rows(fleet)
    assert (found["big"].key, found["big"].ready, found["big"].concurrency) == (True, True, 3)
    assert (found["big"].requests_per_minute, found["big"].tokens_per_minute) == (60, 9_000)
    assert (found["big"].policy, found["big"].fallback, found["big"].routes) == ("fair_share", ["own"], 1)
    assert (found["big"].prices, found["big"].endpoint) == (Prices(1.0, 2.0), "https://models.example/v1")
    assert (found["open"].key, found["open"].prices) == (None, None)
    assert [found[name].ready for name in ("own", "here", "dry", "broken")] == [
        False, False, True, False,
    ]  # fmt: skip
    assert {found[name].source for name in fleet.models} == {"fleet"}


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert shown_address("https://a:b@h:1/v1?k=s#f") == "https://h:1/v1"
    assert shown_address("http://[") == ""


def test_files_are_checked_all_or_by_name(place: Path) -> None:
    assert list(check_models("")) == []
    (place / "models" / "small.gguf").write_bytes(gguf())
    (place / "models" / "cut.gguf").write_bytes(gguf()[:-1])
    weights.cache_path().parent.mkdir(parents=True)
    weights.cache_path().write_bytes(b"not the weights")
    assert [(found.name, found.ok) for found in check_models("")] == [("local", False), ("cut", False), ("small", True)]
    (local,) = check_models("local")
    assert "sha256" in local.fault
    (small,) = check_models(str(place / "models" / "small.gguf"))
    assert (small.ok, small.architecture, small.context) == (True, "llama", 2_048)
