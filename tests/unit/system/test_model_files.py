"""The folder of models: what is in it is listed whatever it is, and nothing is removed but a file of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.system import model_files
from prytany.system.model_files import find_own, find_removable, own_files, own_folder, own_names, remove
from tests.unit.system.model_files import gguf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "own"
    place.mkdir()
    monkeypatch.setenv("PRYTANY_MODELS", str(place))
    return place


def test_the_folder_is_the_named_one_else_in_the_users_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRYTANY_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert own_folder() == tmp_path / "prytany" / "models"
    assert own_files() == []
    monkeypatch.setenv("PRYTANY_MODELS", "~/models")
    monkeypatch.setenv("HOME", "/nowhere/somebody")
    assert own_folder() == Path("/nowhere/somebody/models")


@pytest.mark.parametrize("named", ["/nowhere/at/all", "/etc/passwd", "/" + "x" * 5_000])
def test_a_named_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("PRYTANY_MODELS", named)
    with pytest.raises(Enoent):
        own_files()


def test_what_bears_the_name_of_a_model_is_listed_with_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    (folder / "good.gguf").write_bytes(gguf())
    (folder / "empty.gguf").touch()
    (folder / "local.gguf").write_bytes(gguf())
    (folder / "esc\x1b[2J.gguf").write_bytes(b"x")
    (folder / "dir.gguf").mkdir()
    os.mkfifo(folder / "fifo.gguf")
    (folder / "linked.gguf").symlink_to(folder / "good.gguf")
    (folder / "loop.gguf").symlink_to(folder / "loop.gguf")
    Path(os.fsdecode(os.fsencode(folder) + b"/b\xff.gguf")).write_bytes(gguf())
    for passed_over in ("notes.txt", ".part.gguf", ".gguf"):
        (folder / passed_over).write_bytes(gguf())
    found = {file.name: file.fault for file in own_files()}
    assert sorted(name for name, fault in found.items() if not fault) == ["good", "linked"]
    assert set(found) == {"good", "empty", "local", "esc\x1b[2J", "dir", "fifo", "linked", "loop", "b\udcff"}


def test_a_folder_without_end_is_looked_through_in_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "ENTRIES_MAX", 7)
    monkeypatch.setattr(model_files, "FILES_MAX", 5)
    for number in range(20):
        (folder / f"{number}.gguf").touch()
    assert len(own_names()) == 5


@pytest.mark.parametrize("name", ["", "local", "../good", "a/b", ".hidden", "a\0b", "nothing"])
def test_a_name_leads_out_of_the_folder_to_nothing(folder: Path, name: str) -> None:
    (folder.parent / "good.gguf").write_bytes(gguf())
    (folder / ".hidden.gguf").write_bytes(gguf())
    assert find_own(name) is None


def test_a_file_of_the_folder_is_removed_and_the_room_is_told(folder: Path) -> None:
    path = folder / "good.gguf"
    path.write_bytes(gguf())
    file = find_removable(path, [folder])
    assert file.file_bytes == len(gguf())
    assert remove(file) > 0
    assert not path.exists()
    with pytest.raises(Enoent):
        find_removable(path, [folder])
    with pytest.raises(Eacces):
        remove(file)


def test_what_is_elsewhere_or_no_file_is_not_removed(folder: Path) -> None:
    outside = folder.parent / "outside.gguf"
    outside.write_bytes(gguf())
    (folder / "link.gguf").symlink_to(outside)
    (folder / "dir.gguf").mkdir()
    os.mkfifo(folder / "fifo.gguf")
    (folder / "below").mkdir()
    (folder / "below" / "m.gguf").write_bytes(gguf())
    for path in (outside, folder / "../outside.gguf", folder / "below/m.gguf", folder):
        with pytest.raises(Eacces, match="in none of the folders"):
            find_removable(path, [folder])
    (folder / "notes.txt").touch()
    with pytest.raises(Eacces, match="no model"):
        find_removable(folder / "notes.txt", [folder])
    for name in ("link", "dir", "fifo"):
        with pytest.raises(Eacces):
            find_removable(folder / f"{name}.gguf", [folder])
    assert outside.exists()
    assert len(list(folder.iterdir())) == 5


def test_of_a_file_with_another_name_nothing_is_freed(folder: Path) -> None:
    (folder / "a.gguf").write_bytes(gguf())
    os.link(folder / "a.gguf", folder / "b.gguf")
    assert find_removable(folder / "a.gguf", [folder]).file_bytes == 0


def test_a_file_that_was_changed_for_another_meanwhile_is_kept(folder: Path) -> None:
    path = folder / "good.gguf"
    path.write_bytes(gguf())
    file = find_removable(path, [folder])
    path.rename(folder / "aside")
    path.symlink_to(folder / "aside")
    with pytest.raises(Eacces, match="another file"):
        remove(file)
    assert path.is_symlink()


def test_a_path_that_is_no_text_is_refused() -> None:
    with pytest.raises(Einval):
        model_files.check_text("b\udcff.gguf")
