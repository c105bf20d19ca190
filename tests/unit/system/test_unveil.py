"""What may never be unveiled for writing, by whatever name it is called; and writes that links lead astray."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from pathlib import Path

import pytest

import prytany
from prytany.abi.errors import Eacces, Einval, Enoent, KernelError
from prytany.drivers.files.beneath import BeneathFiles
from prytany.system.unveil import check_writable, unveil_for_run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("input", "program", "home", "tools", "out", "repo/.git/hooks", "env/lib", "deep/.venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "program" / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "program" / "sub" / "deep" / "part.py").write_text("")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr\n")
    (tmp_path / "linked.py").symlink_to(tmp_path / "tools" / "shop.py")
    (tmp_path / "tools" / "shop.py").write_text("")
    return tmp_path


def check(place: Path, output: Path) -> None:
    check_writable(output, f"{place}/program/main.py:main", place / "home", [place / "linked.py"])


def test_an_ordinary_folder_may_be_written_to_and_one_that_is_not_there_yet(place: Path) -> None:
    tools = place / "tools" / "shop.py"
    for output in (place / "out", place / "out" / "new" / "deep"):
        check_writable(output, f"{place}/program/main.py:main", place / "home", [tools])
    kwargs, unveil = unveil_for_run(place / "input", place / "out", f"{place}/program/m.py:f", place / "home", [tools])
    assert kwargs["output"] == str(place / "out")
    assert unveil == {str(place / "input"): "r", str(place / "out"): "rw"}


@pytest.mark.parametrize(
    "name",
    [
        "program", "program/sub", "home", "home/logs", "tools", "tools/new", "", "repo/.git", "repo/.git/hooks",
        "env", "env/lib", "env/lib/new", "deep/.venv/bin", "new/.git", "out/../program", "out/../repo/.git",
    ],
)  # fmt: skip
def test_what_the_kernel_its_programs_or_tools_run_from_may_not(place: Path, name: str) -> None:
    with pytest.raises(Eacces):
        check(place, place / name)
    assert not (place / "new").exists()
    link = place / "out" / "link"
    link.symlink_to(place / name)
    with pytest.raises(Eacces):
        check(place, link)


@pytest.mark.parametrize(
    "folder",
    [
        Path("/"), Path(sys.prefix), Path(sys.prefix) / "share", Path(sys.executable).parent,
        Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("purelib")) / "new",
        Path(sysconfig.get_path("stdlib")), Path(prytany.__file__).parent, Path(prytany.__file__).parents[1],
    ],
)  # fmt: skip
def test_the_environment_that_the_kernel_runs_from_may_not(place: Path, folder: Path) -> None:
    with pytest.raises(Eacces):
        check(place, folder)
    link = place / "link"
    link.symlink_to(folder)
    with pytest.raises(Eacces):
        check(place, link)


def test_the_folder_that_a_link_to_a_tool_lies_in_is_a_tools_folder_as_well(place: Path) -> None:
    (place / "links").mkdir()
    (place / "links" / "shop.py").symlink_to(place / "tools" / "shop.py")
    with pytest.raises(Eacces):
        check_writable(place / "links", f"{place}/program/m.py:f", place / "home", [place / "links" / "shop.py"])


def test_a_link_below_what_is_unveiled_leads_to_nothing_protected(tmp_path: Path) -> None:
    root = tmp_path / "out"
    for name in (".git/hooks", "env/lib", "plain"):
        (root / name).mkdir(parents=True)
    (root / "env" / "pyvenv.cfg").write_text("")
    for link, target in (("hooks", ".git/hooks"), ("lib", "env/lib"), ("fine", "plain")):
        (root / link).symlink_to(target)
    files = BeneathFiles()

    def write(path: str) -> str:
        try:
            return str(asyncio.run(files.write({str(root): "rw"}, f"{root}/{path}", b"x")))
        except KernelError as error:
            return error.errno

    assert write("fine/a") == "1"
    assert [write(path) for path in ("hooks/pre-commit", "lib/a.py", "env/a.py", ".git/config")] == ["EACCES"] * 4
    assert not (root / ".git" / "hooks" / "pre-commit").exists()


def test_what_is_said_is_what_is_given(place: Path) -> None:
    target, home = f"{place}/program/m.py:f", place / "home"
    out, source = str(place / "out"), str(place / "input")
    assert unveil_for_run(None, None, target, home) == ({}, {})
    assert unveil_for_run(None, place / "out", target, home) == ({"output": out}, {out: "rw"})
    folders = [source, f"{place}/deep:r", f"{out}:rw"]
    assert unveil_for_run(None, None, target, home, folders=folders) == (
        {}, {source: "r", str(place / "deep"): "r", out: "rw"},
    )  # fmt: skip


def test_a_folder_beside_a_program_may_be_written_to_while_it_holds_no_code(place: Path) -> None:
    target = f"{place}/program/main.py:main"
    output = place / "program" / "output"
    check_writable(output, target, place / "home")
    output.mkdir()
    (output / "digest.md").write_text("")
    check_writable(output, target, place / "home")
    (output / "new.py").write_text("")
    with pytest.raises(Eacces):
        check_writable(output, target, place / "home")


@pytest.mark.parametrize(
    ("output", "folder", "error"),
    [
        ("file", "", Einval),
        ("file/below", "", Einval),
        ("/proc/x", "", KernelError),
        ("", "nowhere", Enoent),
        ("", "file", Enoent),
        ("", "nowhere:rw", Enoent),
        ("", "program:rw", Eacces),
        ("", "home:rw", Eacces),
        ("", ".:rw", Eacces),
    ],
)
def test_what_cannot_be_unveiled_is_an_errno(place: Path, output: str, folder: str, error: type[KernelError]) -> None:
    (place / "file").write_text("")
    folders = [str(place / folder.removesuffix(":rw")) + (":rw" if folder.endswith(":rw") else "")] if folder else []
    with pytest.raises(error):
        unveil_for_run(None, place / output if output else None, f"{place}/program/m.py:f", place / "home",
                       folders=folders)  # fmt: skip
