"""What no file of the repository may hold."""

from __future__ import annotations

from tests.tidy.repository import SRC, lines_matching

NOT_OURS = ("LICENSE", "uv.lock")


def test_no_file_holds_control_characters() -> None:
    assert lines_matching(r"[\x00-\x08\x0b\x0e-\x1f\x7f]") == []


def test_the_product_writes_no_terminal_escape_codes_by_hand() -> None:
    assert lines_matching(r"\\(?:x1b|033|u001b|N\{ESCAPE\})\[[0-9;?]*[A-Za-z]", under=SRC) == []


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    assert lines_matching(r"\b(?:TO[D]O|FIX[M]E)\b", but=NOT_OURS) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert lines_matching(r"(?<![\w.~*}/-])/(?:root|work|home|Users)/[\w.]", but=NOT_OURS) == []
