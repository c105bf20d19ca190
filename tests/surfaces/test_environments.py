"""Programs in flight keep what they began with; other environments have zygotes of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prytany.abi.errors import Einval, Enoent
from prytany.kernel.outcome import Program
from prytany.runtime.environments import Environments, find_python
from prytany.system.lookups import Programs
from prytany.system.programs import find_program
from prytany.system.shard import Shard
from tests.surfaces.shards import end_of, process, spawn, turns_until, with_shard

PROGRAM = """
import helper
from prytany import agent

@agent(pledge="proc")
async def main(proc):
    first = helper.VERSION
    print(first)
    pid = await proc.spawn(child)
    ended = await proc.wait(pid)
    import later
    return [first, later.VERSION, ended.result]

@agent()
async def child(proc):
    await proc.sleep(3600)

@agent()
async def where(proc):
    import sys
    try:
        import here_only
        found = here_only.NAME
    except ImportError:
        found = ""
    return [sys.prefix, found]
"""


def test_a_program_whose_files_change_and_go_finishes_on_what_it_began_with(tmp_path: Path) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "main.py").write_text(PROGRAM)
    (folder / "helper.py").write_text("VERSION = 1")
    (folder / "later.py").write_text("VERSION = 1")

    async def begin(shard: Shard) -> None:
        spawn(shard, f"{folder}/main.py:main")
        await turns_until(lambda: 2 in shard.kernel.workers.live)

    async def go_on(shard: Shard) -> tuple[dict[str, Any], str, str]:
        shard.kernel.operator.signal(2, 9, uid=0)
        ended = await shard.kernel.operator.wait_ended(1)
        return ended, process(shard, 1).environment, shard.logs.path(1).read_text()

    with_shard(tmp_path / "home", begin)
    (folder / "main.py").write_text("raise RuntimeError('changed')")
    (folder / "helper.py").write_text("VERSION = 2")
    (folder / "later.py").unlink()
    ended, environment, log = with_shard(tmp_path / "home", go_on)
    assert ended["result"] == [1, 1, None], ended
    assert environment == Environments().identity("")
    assert log == "1\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with nothing in it."""
    folder = tmp_path_factory.mktemp("venv") / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder


def site_packages(venv: Path) -> Path:
    return next(venv.glob("lib/python3.*/site-packages"))


def test_an_environment_without_what_workers_need_says_what_to_install(tmp_path: Path, bare: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("VERSION = 1")

    async def body(shard: Shard) -> dict[str, Any]:
        return await end_of(shard, f"{tmp_path}/main.py:where", python=find_python(str(bare)))

    ended = with_shard(tmp_path / "home", body)
    assert ended["status"] == 1
    assert "pip install msgspec pyseccomp" in ended["reason"]


def test_a_program_runs_in_the_environment_that_was_named_beside_one_in_the_kernels_own(
    tmp_path: Path, bare: Path
) -> None:
    import msgspec
    import pyseccomp

    packages = site_packages(bare)
    for module in (msgspec, pyseccomp):
        place = Path(str(module.__file__))
        source = place.parent if place.name == "__init__.py" else place
        (packages / source.name).symlink_to(source)
    before = Environments().identity(str(bare / "bin" / "python"))
    (packages / "here_only.py").write_text("NAME = 'here'")
    (packages / "here_only-1.0.dist-info").mkdir()
    assert Environments().identity(str(bare / "bin" / "python")) != before
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("VERSION = 1")

    async def body(shard: Shard) -> list[dict[str, Any]]:
        target = f"{tmp_path}/main.py:where"
        there = end_of(shard, target, python=find_python(str(bare)))
        return list(await asyncio.gather(there, end_of(shard, target)))

    there, own = with_shard(tmp_path / "home", body)
    assert there["result"] == [str(bare), "here"], there
    assert own["result"] == [sys.prefix, ""], own


def test_a_python_that_is_not_there_or_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert find_python("") == ""
    assert find_python(sys.executable) == sys.executable
    for place, error in ((tmp_path / "nowhere", Enoent), (tmp_path, Enoent), (tmp_path / "file", Einval)):
        with pytest.raises(error):
            find_python(str(place))


def test_a_record_from_before_modules_were_recorded_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("VERSION = 'from disk'")

    def as_it_was(programs: Programs, target: str, beside: str) -> Program:
        return find_program(target, beside)._replace(source=(tmp_path / "main.py").read_bytes())

    monkeypatch.setattr(Programs, "find", as_it_was)

    async def body(shard: Shard) -> dict[str, Any]:
        return await end_of(shard, f"{tmp_path}/main.py:where")

    assert with_shard(tmp_path / "home", body)["result"] == [sys.prefix, ""]
