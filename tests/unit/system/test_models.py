"""Which model is opened: the chosen one for a new run, the recorded one for a run that goes on, and none in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.system.models import name_model, open_models, slots_wanted
from tests.unit.system.model_files import gguf

URL, NAME, DEFAULT = "PRYTANY_MODEL_URL", "PRYTANY_MODEL_NAME", "PRYTANY_MODEL"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of models, and no endpoint nor default."""
    for name in (URL, NAME, DEFAULT):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "models"
    place.mkdir()
    monkeypatch.setenv("PRYTANY_MODELS", str(place))
    return place


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


def test_the_option_goes_before_the_default_and_that_before_the_endpoint(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "small.gguf").write_bytes(gguf())
    assert name_model("") == "local"
    monkeypatch.setenv(URL, "http://127.0.0.1:1/v1")
    monkeypatch.setenv(NAME, "large")
    assert name_model("") == "remote:large"
    for value, recorded in (
        ("small", str(folder / "small.gguf")), (str(folder / "x.gguf"), str(folder / "x.gguf")),
        ("scripted", "scripted"), ("local", "local"), ("remote", "remote:large"),
    ):  # fmt: skip
        monkeypatch.setenv(DEFAULT, value)
        assert name_model("") == recorded
        assert name_model("scripted") == "scripted"
        assert open_models("", {"scripted"}, fresh=False).keys() == {"scripted"}, "what goes on keeps its model"


def test_a_name_in_the_folder_is_recorded_as_the_whole_path_and_is_what_programs_call_it(folder: Path) -> None:
    path = str(folder / "small.gguf")
    Path(path).write_bytes(gguf())
    assert name_model("small") == path
    assert set(open_models("small", set(), fresh=True)) == {"", "small", path}
    assert set(open_models("", {path}, fresh=False)) == {"small", path}


def test_a_run_beside_one_of_another_file_does_not_take_its_model(folder: Path) -> None:
    (folder / "below").mkdir()
    paths = [folder / "small.gguf", folder / "below" / "small.gguf", folder / "local.gguf"]
    for path in paths:
        path.write_bytes(gguf())
    first, second, third = map(str, paths)
    opened = open_models("", {first, second}, fresh=False)
    assert set(opened) == {first, second}, "a name that could be either is neither"
    assert opened[first] is not opened[second]
    assert set(open_models("", {third}, fresh=False)) == {third}, "a file called local is not the local model"


@pytest.mark.parametrize("name", ["smal", "nothing", "x" * 100_000, "esc\x1b[2J"])
def test_a_name_that_is_not_known_is_told_with_those_that_are(folder: Path, name: str) -> None:
    (folder / "small.gguf").write_bytes(gguf())
    with pytest.raises(Enoent) as raised:
        name_model(name)
    assert "'small' meant" in str(raised.value) or "local, remote, scripted, small" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_model_that_is_gone_has_to_come_back_before_its_run_goes_on(folder: Path) -> None:
    with pytest.raises(Enoent, match="what goes on in this home") as raised:
        open_models("", {str(folder / "gone.gguf")}, fresh=False)
    assert raised.value.__notes__


def test_a_default_that_is_not_known_is_said_to_be_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEFAULT, "nothing")
    with pytest.raises(Enoent, match="PRYTANY_MODEL is set"):
        name_model("")


def test_a_file_that_is_no_model_or_not_all_of_one_is_refused_before_it_is_asked(folder: Path) -> None:
    (folder / "cut.gguf").write_bytes(gguf()[:-1])
    (folder / "dir.gguf").mkdir()
    with pytest.raises(Einval, match="cut off"):
        open_models("cut", set(), fresh=True)
    with pytest.raises(Enoent):
        open_models("dir", set(), fresh=True)
    with pytest.raises(Enoent):
        open_models("x" * 100_000 + ".gguf", set(), fresh=True)
    with pytest.raises(Einval, match="UTF-8"):
        name_model("b\udcff.gguf")


def test_how_many_calls_at_once_is_said_by_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRYTANY_MODEL_SLOTS", raising=False)
    assert slots_wanted() == 2
    for said, slots in (("", 2), ("1", 1), ("32", 32), ("08", 8)):
        monkeypatch.setenv("PRYTANY_MODEL_SLOTS", said)
        assert slots_wanted() == slots
    for said in ("0", "33", "-1", "many", "1e1", "²", " 4", "9" * 5_000):
        monkeypatch.setenv("PRYTANY_MODEL_SLOTS", said)
        with pytest.raises(Einval):
            slots_wanted()
