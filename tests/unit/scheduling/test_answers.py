"""Answers that were given before: found by what was asked, apart by tenant, bounded, and gone with their content."""

from __future__ import annotations

from prytany.scheduling.answers import Answer, Answers


def test_what_was_asked_before_is_found_and_counted_and_never_another_tenants() -> None:
    answers = Answers(100)
    assert answers.find(0, b"q") is None
    answers.keep(0, b"q", Answer(b"a", 10, 70))
    assert answers.find(0, b"q") == Answer(b"a", 10, 70)
    assert answers.find(1, b"q") is None
    assert (answers.hits, answers.misses, answers.spared, answers.bytes) == (1, 2, 70, 10)


def test_it_holds_no_more_than_its_bytes_and_what_was_used_longest_ago_goes_first() -> None:
    answers = Answers(30)
    for name in (b"1", b"2", b"3"):
        answers.keep(0, name, Answer(name, 10, 1))
    assert answers.find(0, b"1") is not None
    answers.keep(0, b"4", Answer(b"4", 10, 1))
    assert [answers.find(0, name) is not None for name in (b"1", b"2", b"3", b"4")] == [True, False, True, True]
    answers.keep(0, b"5", Answer(b"5", 31, 1))
    assert answers.find(0, b"5") is None
    assert (answers.bytes, len(answers)) == (30, 3)


def test_another_answer_to_the_same_takes_its_place() -> None:
    answers = Answers(30)
    answers.keep(0, b"q", Answer(b"a", 10, 1))
    answers.keep(0, b"q", Answer(b"b", 20, 1))
    assert answers.bytes == 20
    assert answers.find(0, b"q") == Answer(b"b", 20, 1)


def test_what_an_owner_said_goes_with_that_owner() -> None:
    answers = Answers(100)
    for asked in (b"1", b"2"):
        answers.keep(0, asked, Answer(b"same", 10, 1, owner=7))
    answers.keep(0, b"3", Answer(b"same", 10, 1, owner=8))
    answers.keep(1, b"1", Answer(b"same", 10, 1, owner=7))
    answers.keep(0, b"2", Answer(b"newer", 20, 1, owner=8))
    answers.forget(0, 7)
    answers.forget(0, 7)
    assert [answers.find(0, asked) is not None for asked in (b"1", b"2", b"3")] == [False, True, True]
    assert answers.find(1, b"1") is not None
    assert answers.bytes == 40


def test_what_was_found_and_can_be_read_no_more_was_no_hit() -> None:
    answers = Answers(100)
    answers.keep(0, b"q", Answer(b"a", 10, 70))
    assert answers.find(0, b"q") is not None
    answers.lost(0, b"q")
    answers.lost(0, b"q")
    assert (answers.hits, answers.misses, answers.spared, answers.bytes, len(answers)) == (0, 1, 0, 0, 0)


def test_where_all_is_cleared_the_counts_stay() -> None:
    answers = Answers(100)
    answers.keep(0, b"q", Answer(b"a", 10, 70))
    assert answers.find(0, b"q") is not None
    answers.clear(5)
    answers.keep(0, b"q", Answer(b"a", 10, 70))
    assert (answers.hits, answers.bytes, len(answers)) == (1, 0, 0)
