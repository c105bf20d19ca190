"""Tables, patterns and moments: what a person writes is read within bounds, and what is shown fits and is safe."""

from __future__ import annotations

import io

import pytest

from prytany.abi.errors import Einval
from prytany.cli.moments import moment_ns
from prytany.cli.pattern import Pattern
from prytany.cli.table import Column, Line, cells_of, in_colour, table

COLUMNS = (Column("N", right=True), Column("NAME", long=True), Column("WHY", long=True))
HOUR_NS = 3_600_000_000_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 33, 60, 200])
def test_a_table_fits_the_terminal_as_far_as_its_columns_can_be_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    shown = list(table(COLUMNS, [Line(["1", "a name " * 9, "漢字" * 20]), Line(["22", "b", "\x1b[31m"])]))
    assert max(map(cells_of, shown)) <= max(columns, 2 + 2 + 8 + 2 + 8)
    assert "\x1b" not in "".join(shown)


def test_nothing_is_cut_or_coloured_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "10")
    assert list(table(COLUMNS, [Line(["1", "x" * 50, ""], "red")])) == [
        f" N  {'NAME':<50}  WHY"[1:], f"1  {'x' * 50}",
    ]  # fmt: skip


def test_colours_are_for_terminals_whose_user_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert in_colour(Terminal())
    assert not in_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not in_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not in_colour(Terminal())


def test_a_pattern_finds_lines_and_one_that_would_take_for_ever_is_refused() -> None:
    assert Pattern("b+").matching(["a", "abba", "cab"]) == ["abba", "cab"]
    with pytest.raises(Einval, match="of search"):
        Pattern("(a+)+$", search_s=0.05).matching(["a" * 60 + "!"])
    assert Pattern("a").matching(["a"]) == ["a"]


@pytest.mark.parametrize("text", ["(", "a" * 1_001, "[z-a]", "(?P<a", "a{99999999999}"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        Pattern(text)


@pytest.mark.parametrize(
    ("text", "ago_ns"), [("1h", HOUR_NS), ("60m", HOUR_NS), ("3600s", HOUR_NS), ("0.5 h", HOUR_NS // 2), ("999w", 0)]
)
def test_a_length_of_time_is_so_long_ago(text: str, ago_ns: int) -> None:
    now_ns = 500_000_000_000_000_000
    assert moment_ns(text, now_ns) == (now_ns - ago_ns if ago_ns else 0)


def test_a_time_is_meant_where_one_is_unless_it_says_where() -> None:
    assert moment_ns("1970-01-02T00:00:01+00:00", 0) == 86_401_000_000_000
    assert moment_ns("1950-01-01T00:00Z", 0) == 0
    assert moment_ns("2026-05-03", 0) == moment_ns("2026-05-03T00:00", 0) > 0


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1y", "nan", "9" * 400 + "s", "2026-13-01", "٣h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Einval):
        moment_ns(text, 10)
