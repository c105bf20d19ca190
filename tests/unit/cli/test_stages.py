"""Stages of a pipeline, split and quoted as a shell does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prytany.abi.errors import Einval
from prytany.cli.stages import STAGES_MAX, is_pipeline, read_stages


@pytest.mark.parametrize(
    ("target", "stages"),
    [
        ("a | b", [("a", []), ("b", [])]),
        ("a|b|c", [("a", []), ("b", []), ("c", [])]),
        ("research 'two words' | write --brief", [("research", ["two words"]), ("write", ["--brief"])]),
        ("a '|' | b \"x | y\"", [("a", ["|"]), ("b", ["x | y"])]),
        (r"a \| | b \\", [("a", ["|"]), ("b", ["\\"])]),
        (r"a 'it\' | b", [("a", ["it\\"]), ("b", [])]),
        ('a "it\'s" | b', [("a", ["it's"]), ("b", [])]),
        ("f.py:main '' | b", [("f.py:main", [""]), ("b", [])]),
    ],
)
def test_stages_are_read_as_a_shell_does_it(target: str, stages: list[tuple[str, list[str]]]) -> None:
    assert is_pipeline(target)
    assert [(stage.name, list(stage.words)) for stage in read_stages(target)] == stages


@pytest.mark.parametrize(
    "target",
    ["| b", "a |", "a | | b", "|", "||", "a || b", "a | ''", "a | \"\" x", "a | b 'x", 'a | b "x', "a | b \\",
     " | ".join(["a"] * (STAGES_MAX + 1))],
)  # fmt: skip
def test_stages_that_are_none_are_refused(target: str) -> None:
    with pytest.raises(Einval):
        read_stages(target)


@pytest.mark.parametrize("target", ["a", "fleet.yaml", "a 'b | c'", r"a \| b", "", "'a | b"])
def test_what_has_no_bar_outside_of_quotes_is_no_pipeline(target: str) -> None:
    assert not is_pipeline(target)


def test_a_file_of_that_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a|b.py").write_text("")
    assert not is_pipeline(f"{tmp_path}/a|b.py:main")
    assert not is_pipeline(f"{tmp_path}/a|b.py")
    assert is_pipeline(f"{tmp_path}/a|c.py:main")
