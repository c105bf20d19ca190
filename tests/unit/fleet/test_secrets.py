"""Secrets are taken from where a fleet file says; what is wrong with that place is said, and the secret never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.abi.errors import Eacces, Einval, Enoent, KernelError
from prytany.system.fleet.form import Secret
from prytany.system.fleet.secrets import FOLDER, read_secret

KEY = "-".join(("sk", "very", "secret"))


def credential(folder: Path, content: bytes, mode: int = 0o400, name: str = "key") -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def read(folder: Path | str, name: str = "key") -> str:
    return read_secret("provider", Secret(credential=name), "/nowhere", {FOLDER: str(folder)})


@pytest.mark.parametrize("content", [KEY, KEY + "\n", KEY + "\r\n"])
@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_a_credential_is_what_the_manager_handed_over(tmp_path: Path, content: str, mode: int) -> None:
    credential(tmp_path, content.encode(), mode)
    assert read(tmp_path) == KEY


@pytest.mark.skipif(os.geteuid() != 0, reason="systemd's are root's, and so this is for root to try")
def test_the_mask_of_an_access_list_is_no_right_of_others(tmp_path: Path) -> None:
    path = credential(tmp_path, KEY.encode(), 0o440)
    assert read(tmp_path) == KEY
    os.chown(path, 12_345, 0)
    with pytest.raises(Eacces):
        read(tmp_path)


def test_a_link_is_followed_and_what_it_leads_to_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(credential(tmp_path, KEY.encode(), name="data"))
    assert read(tmp_path) == KEY
    (tmp_path / "data").chmod(0o404)
    with pytest.raises(Eacces):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [
        (KEY.encode(), 0o644, Eacces), (KEY.encode(), 0o604, Eacces), (KEY.encode(), 0o420, Eacces),
        (b"", 0o400, Einval), (b"\n", 0o400, Einval), (f"{KEY}\n{KEY}\n".encode(), 0o400, Einval),
        (f"{KEY}\n\n".encode(), 0o400, Einval), (b"\xff\xfe", 0o400, Einval), (b"a\0b", 0o400, Einval),
        ("clé".encode(), 0o400, Einval), (b"k" * (limits.TOOL_SECRET_BYTES_MAX + 1), 0o400, Einval),
        (b"k" * (4 << 20), 0o400, Einval),
    ],
)  # fmt: skip
def test_what_no_key_is_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, mode: int, error: type[KernelError]
) -> None:
    credential(tmp_path, content, mode)
    with pytest.raises(error, match="provider") as raised:
        read(tmp_path)
    assert KEY not in str(raised.value)


def test_a_folder_a_pipe_and_nothing_are_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(Einval, match="is no file"):
        read(tmp_path, "pipe")
    for name in ("folder", "nothing", "dangling", "loop"):
        with pytest.raises(Enoent, match="cannot be read"):
            read(tmp_path, name)


def test_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    credential(tmp_path, KEY.encode())
    for name in ("../key", "/etc/hostname", "", ".", "..", "a/b", "a\0b", "key\n"):
        with pytest.raises(KernelError):
            read(tmp_path / "below", name)


def test_without_a_service_manager_it_is_said_what_to_do() -> None:
    secret = Secret(credential="key")
    with pytest.raises(Enoent, match="no service manager gave any") as raised:
        read_secret("provider", secret, "/", {})
    assert "LoadCredential=key:PATH" in raised.value.__notes__[0]
    with pytest.raises(Einval, match="no absolute path"):
        read_secret("provider", secret, "/", {FOLDER: "here"})


def test_a_file_gives_its_first_line_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = credential(tmp_path, f"  {KEY} \nsecond\n".encode(), 0o600)
    secret = Secret(file="key")
    assert read_secret("provider", secret, str(tmp_path), {}) == KEY
    path.chmod(0o640)
    with pytest.raises(Eacces, match="chmod 600"):
        read_secret("provider", secret, str(tmp_path), {})
