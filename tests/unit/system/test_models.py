"""Which model is opened: the chosen one for a new run, the recorded one for a run that goes on, and none in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.system.models import name_model, open_models

URL, NAME = "PRYTANY_MODEL_URL", "PRYTANY_MODEL_NAME"


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.delenv(NAME, raising=False)


def test_a_choice_is_recorded_by_a_name_that_says_which_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert [name_model(c) for c in ("", "local", "scripted")] == ["local", "local", "scripted"]
    assert name_model("m.gguf") == str(tmp_path / "m.gguf")
    monkeypatch.setenv(URL, "http://127.0.0.1:1/v1")
    monkeypatch.setenv(NAME, "large")
    assert [name_model(c) for c in ("", "remote", "scripted")] == ["remote:large", "remote:large", "scripted"]


@pytest.mark.parametrize(
    "url", ["", "nowhere", "file:///etc/passwd", "http://", "http://[", "http://h:99999999", "//h"]
)
def test_an_endpoint_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv(URL, url)
    monkeypatch.setenv(NAME, "large")
    with pytest.raises(Einval, match="PRYTANY_MODEL_URL"):
        name_model("remote")


def test_an_endpoint_without_a_models_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "https://models.example/v1")
    with pytest.raises(Einval, match=NAME):
        name_model("")


def test_a_run_that_goes_on_is_given_its_own_model_where_none_is_chosen() -> None:
    opened = open_models("", {"scripted"}, fresh=False)
    assert [(name, model.name) for name, model in opened.items()] == [("scripted", "scripted")]
    assert open_models("", set(), fresh=False) == {}
    assert set(open_models("scripted", {""}, fresh=False)) == {"", "scripted"}


@pytest.mark.parametrize(
    ("choice", "live", "error"),
    [
        ("scripted", "local", Einval),
        ("scripted", "remote:large", Einval),
        ("", "remote:large", Einval),
        ("local", "scripted", Einval),
        ("", "/nowhere/m.gguf", Enoent),
    ],
)
def test_a_run_that_goes_on_is_given_no_other_model(choice: str, live: str, error: type[KernelError]) -> None:
    with pytest.raises(error, match=live.removeprefix("remote:")):
        open_models(choice, {live}, fresh=False)


def test_an_endpoint_that_has_another_model_than_the_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "https://models.example/v1")
    monkeypatch.setenv(NAME, "small")
    with pytest.raises(Einval, match="PRYTANY_MODEL_NAME=large"):
        open_models("", {"remote:large"}, fresh=False)
    monkeypatch.delenv(NAME)
    assert open_models("", {"remote:large"}, fresh=False)["remote:large"].name == "large"


def test_a_new_run_beside_one_that_goes_on_leaves_that_its_model() -> None:
    opened = open_models("scripted", {"scripted"}, fresh=True)
    assert set(opened) == {"", "scripted"}
