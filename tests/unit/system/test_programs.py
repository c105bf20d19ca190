"""What a program declares of itself is read from its text, and the text is never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.errors import Eacces, Einval, Enoent
from prytany.system.programs import find_program

TEXT = """
import prytany
from prytany import Server, agent
raise SystemExit("this is never run")

class Plain(Server): ...

class Pledged(prytany.Server):
    pledge = "ipc model"

class Annotated(Server):
    pledge: str = "ipc proc"

class Inherits(Pledged): ...

@agent(pledge="ipc files.read", name="clerk")
class Decorated(Server): ...

class Mute(Server):
    pledge = "model"

class Computed(Server):
    pledge = "ipc " + "model"

class Unknown(Server):
    pledge = "ipc everything"

class NoServer: ...

@agent(pledge="model")
async def function(proc): ...
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("name", "pledge", "shown"),
    [
        ("Plain", ("ipc",), "Plain"),
        ("Pledged", ("ipc", "model"), "Pledged"),
        ("Annotated", ("ipc", "proc"), "Annotated"),
        ("Inherits", ("ipc", "model"), "Inherits"),
        ("Decorated", ("ipc", "files.read"), "clerk"),
    ],
)
def test_a_server_s_pledge_is_its_attribute_or_its_decorator_s(
    place: str, name: str, pledge: tuple[str, ...], shown: str
) -> None:
    found = find_program(f"{place}:{name}", "")
    assert (found.pledge, found.name, found.serves) == (pledge, shown, True)
    assert find_program(f":{name}", f"{place}:function").program == found.program


@pytest.mark.parametrize("name", ["Mute", "Computed", "Unknown"])
def test_a_server_without_ipc_or_with_a_pledge_that_is_none_is_einval(place: str, name: str) -> None:
    with pytest.raises(Einval):
        find_program(f"{place}:{name}", "")


def test_a_class_that_is_no_server_is_no_program_and_a_function_serves_nobody(place: str) -> None:
    with pytest.raises(Enoent):
        find_program(f"{place}:NoServer", "")
    assert not find_program(f"{place}:function", "").serves


def test_a_program_where_agents_may_write_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "main.py").mkdir()  # reading it would be another error
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "outside.py").write_text("async def main(proc): ...\n")
    for name in ("out/main.py", "link/main.py", "x/../out/main.py"):
        with pytest.raises(Eacces):
            find_program(f"{tmp_path}/{name}:main", "/x.py:main", closed=[f"{tmp_path}/out"])
    assert find_program(f"{tmp_path}/outside.py:main", "/x.py:main", closed=[f"{tmp_path}/out"])
    own = f"{tmp_path}/outside.py:main"
    assert find_program(":main", own, closed=[str(tmp_path)]), "its own file is the operator's choice"


def test_a_program_whose_file_is_gone_is_found_in_what_was_recorded_of_it(tmp_path: Path) -> None:
    place = tmp_path / "gone.py"
    place.write_text("async def one(proc): ...\nasync def two(proc): ...\n")
    first = find_program(f"{place}:one", "")
    place.unlink()
    second = find_program(":two", first.program, first.source)
    assert (second.program, second.source) == (f"{place}:two", first.source)
    with pytest.raises(Enoent):
        find_program(":three", first.program, first.source)


def test_a_text_without_the_name_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(text: bytes) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("prytany.system.programs._functions", parse)
    place = tmp_path / "other.py"
    place.write_text("class main: ...\ndef sync(): ...\nmain = 'async def main'\n" + "\n" * 100_000)
    for name, error in (("main", Enoent), ("nothing", Enoent), ("sync", Einval), ("naïve", Enoent)):
        with pytest.raises(error):
            find_program(f"{place}:{name}", "/x.py:main")
    place.write_text("async  def main(proc): ...\nasync def naïve(proc): ...\n")
    for name in ("main", "naïve"):
        with pytest.raises(AssertionError, match="it was parsed"):
            find_program(f"{place}:{name}", "/x.py:main")
