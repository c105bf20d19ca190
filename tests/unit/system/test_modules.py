"""What is recorded of a program: the modules beside it that it imports, found without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.program import MODULE, NAMESPACE, PACKAGE, Module, is_whole, pack_program, unpack_program
from prytany.system.modules import modules_beside
from prytany.system.programs import find_program

FILES = {
    "plain.py": "import second",
    "second.py": "import plain",
    "late.py": "",
    "maybe.py": "raise RuntimeError('this must not run')",
    "other.py": "",
    "named.py": "",
    "broken.py": "def (",
    "unused.py": "",
    "json.py": "",
    "data.txt": "",
    "pack/__init__.py": "from .inner import thing\n__all__ = ['starred']",
    "pack/inner.py": "from . import sibling\nfrom .. import beyond",
    "pack/sibling.py": "",
    "pack/starred.py": "",
    "pack/unused.py": "",
    "pack/deep/__init__.py": "",
    "pack/deep/leaf.py": "from ..sibling import x\nfrom ... import late",
    "space/leaf.py": "",
    "prytany/__init__.py": "",
    "folder.py/x.py": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(folder: Path, text: str) -> set[str]:
    return {module.name for module in modules_beside(folder / "main.py", text.encode())}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import plain", {"plain", "second"}),
        ("import os, late as x, asyncio", {"late"}),
        ("try:\n    import maybe\nexcept ImportError:\n    import other", {"maybe", "other"}),
        ("def f():\n    if 0:\n        from late import x", {"late"}),
        ("from importlib import import_module\nimport_module('named')", {"named"}),
        ("x = __import__('named')", {"named"}),
        ("import_module(made_up)\nimport_module(3)\nimport_module()", set()),
        ("import broken", {"broken"}),
        ("import json", {"json"}),
        ("import pack", {"pack", "pack.inner", "pack.sibling"}),
        ("from pack import *", {"pack", "pack.inner", "pack.sibling", "pack.starred"}),
        ("from pack import deep, thing", {"pack", "pack.inner", "pack.sibling", "pack.deep"}),
        ("import pack.deep.leaf", {"pack", "pack.inner", "pack.sibling", "pack.deep", "pack.deep.leaf"}),
        ("import space.leaf", {"space", "space.leaf"}),
        ("import space, data, missing, folder, prytany", set()),
        ("from . import late\nfrom .pack import x\nfrom ...... import y", set()),
        ("not python at all", set()),
    ],
)
def test_an_import_counts_wherever_it_stands(folder: Path, text: str, names: set[str]) -> None:
    assert found(folder, text) == names


def test_a_program_is_packed_with_its_modules_and_without_its_folder(folder: Path) -> None:
    (folder / "main.py").write_text("import pack.deep, space.leaf\nasync def main(proc): ...")
    recorded = unpack_program(find_program(f"{folder}/main.py:main", "").source)
    kinds = {module.name: (module.kind, module.path) for module in recorded.modules}
    assert kinds["pack.deep"] == (PACKAGE, "pack/deep/__init__.py")
    assert kinds["space"] == (NAMESPACE, "")
    assert kinds["space.leaf"] == (MODULE, "space/leaf.py")
    assert recorded.main == (folder / "main.py").read_bytes()
    assert str(folder).encode() not in find_program(f"{folder}/main.py:main", "").source


def test_a_record_from_before_modules_were_recorded_is_a_main_file() -> None:
    recorded = unpack_program(b"x = 1\n")
    assert (recorded.main, recorded.modules, recorded.whole) == (b"x = 1\n", [], False)
    packed = pack_program(b"x = 1\n", [Module("a", MODULE, b"y")])
    assert is_whole(packed)
    assert unpack_program(packed).modules == [Module("a", MODULE, b"y")]


@pytest.mark.parametrize("damage", [b"", b"\x92", b"\xff" * 40])
def test_a_record_that_is_neither_is_einval(damage: bytes) -> None:
    with pytest.raises(Einval):
        unpack_program(pack_program(b"", [])[:19] + damage)


def test_too_many_or_too_large_modules_are_refused(folder: Path) -> None:
    (folder / "large.py").write_bytes(b"#" * limits.PROGRAM_BYTES_MAX)
    with pytest.raises(Einval):
        found(folder, "import large")
    many = [f"m{n}" for n in range(limits.PROGRAM_MODULES_MAX + 1)]
    for name in many:
        (folder / f"{name}.py").write_text("")
    with pytest.raises(Einval):
        found(folder, "import " + ", ".join(many))


def test_a_module_that_cannot_be_read_or_is_a_folder_is_not_recorded(folder: Path) -> None:
    (folder / "dangling.py").symlink_to(folder / "nowhere")
    assert found(folder, "import dangling, folder") == set()


def test_links_lead_no_further_than_the_folder_or_that_of_the_program_itself(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    far = tmp_path_factory.mktemp("far")
    (far / "key.py").write_text("THE KEY")
    (far / "main.py").write_text("import key")
    (folder / "key.py").symlink_to(far / "key.py")
    (folder / "inner.py").symlink_to(folder / "pack" / "sibling.py")
    (folder / "pack2").symlink_to(far)
    assert found(folder, "import key, pack2.key, inner") == {"pack2", "inner"}
    assert {m.name for m in modules_beside(folder / "main.py", b"import key", links=True)} == {"key"}
    (folder / "main.py").symlink_to(far / "main.py")
    assert found(folder, "import key") == {"key"}
